// Package mutants builds programs that each break one rule of the order
// protocol. No switch for them stands in the program: a mutant is an edit of its
// source, applied by a build overlay (`go help build`, -overlay). One that lives
// through a suite shows what the suite does not see.
package mutants

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Mutant is a program that breaks one rule.
type Mutant struct {
	Name   string
	Breaks string // what it does instead
	Edits  []Edit
}

// Edit replaces a text that stands exactly once in a file of the repository.
type Edit struct{ File, Old, New string }

// ErrUnknown is the error of a name that no mutant has.
var ErrUnknown = errors.New("no such mutant")

// Named returns the mutant of a name, or ErrUnknown.
func Named(name string) (Mutant, error) {
	i := slices.IndexFunc(All, func(m Mutant) bool { return m.Name == name })
	if i < 0 {
		return Mutant{}, fmt.Errorf("%w: %q", ErrUnknown, name)
	}
	return All[i], nil
}

// Replace writes the files that m edits into dir and returns them by the path of
// the original in root, a checkout. An edit whose text does not stand in its
// file exactly once is an error: a change of the program must not disarm a
// mutant unseen.
func (m Mutant) Replace(root, dir string) (map[string]string, error) {
	replace := map[string]string{}
	for i, e := range m.Edits {
		path, err := filepath.Abs(filepath.Join(root, e.File))
		if err != nil {
			return nil, err
		}
		source := path
		if edited, ok := replace[path]; ok {
			source = edited
		}
		text, err := os.ReadFile(source)
		if err != nil {
			return nil, err
		}
		if n := strings.Count(string(text), e.Old); n != 1 {
			return nil, fmt.Errorf("mutant %s: its text stands %d times in %s", m.Name, n, e.File)
		}
		replace[path] = filepath.Join(dir, fmt.Sprintf("%s-%d%s", m.Name, i, filepath.Ext(path)))
		if err := os.WriteFile(replace[path], []byte(strings.Replace(string(text), e.Old, e.New, 1)), 0o600); err != nil {
			return nil, err
		}
	}
	return replace, nil
}

// WriteOverlay writes what `go build -overlay` reads into dir, and returns its
// path.
func WriteOverlay(dir string, replace map[string]string) (string, error) {
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, overlay, 0o600)
}
