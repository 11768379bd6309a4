package config

import (
	"fmt"
	"strings"

	"github.com/agnivade/levenshtein"
)

// typo is how many letters a misspelt name has wrong at most.
const typo = 2

// didYouMean returns the settings whose names differ from it in a letter or two, as
// a remark; empty if there are none.
func didYouMean(name string, nameOf func(Setting) string) string {
	var closest []string
	best := typo
	for _, s := range Settings() {
		switch d := levenshtein.ComputeDistance(name, nameOf(s)); {
		case d < best:
			best, closest = d, []string{nameOf(s)}
		case d == best:
			closest = append(closest, nameOf(s))
		}
	}
	if closest == nil {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s?)", strings.Join(closest, " or "))
}

func keyOf(s Setting) string { return s.Key }
