// Package suggest finds the known word that a misspelt one was meant to be.
package suggest

import (
	"fmt"
	"strings"

	"github.com/agnivade/levenshtein"
)

// typo is how many letters a misspelt word has wrong at most.
const typo = 2

// Words returns the known words that differ least from word, in a letter or two; else
// those that it is the beginning of. A short word has fewer letters that can be wrong.
func Words(word string, known []string) []string {
	word = strings.ToLower(word)
	best := min(typo, len(word)/2)
	var closest, longer []string
	for _, k := range known {
		switch d := levenshtein.ComputeDistance(word, strings.ToLower(k)); {
		case d < best:
			best, closest = d, []string{k}
		case d == best:
			closest = append(closest, k)
		case word != "" && strings.HasPrefix(strings.ToLower(k), word):
			longer = append(longer, k)
		}
	}
	if closest == nil {
		return longer
	}
	return closest
}

// Remark returns Words as a remark that follows an error's text; empty if there are
// none.
func Remark(word string, known []string) string {
	words := Words(word, known)
	if words == nil {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s?)", strings.Join(words, " or "))
}
