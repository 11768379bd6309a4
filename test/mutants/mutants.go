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

// Overlay writes the edited files and the overlay that puts them in place of
// those in root, a checkout, into dir, and returns the overlay's path. An edit
// whose text does not stand in its file exactly once is an error: a change of
// the program must not disarm a mutant unseen.
func (m Mutant) Overlay(root, dir string) (string, error) {
	replace := map[string]string{}
	texts := map[string]string{}
	for i, e := range m.Edits {
		path, err := filepath.Abs(filepath.Join(root, e.File))
		if err != nil {
			return "", err
		}
		if _, ok := texts[path]; !ok {
			text, err := os.ReadFile(path)
			if err != nil {
				return "", err
			}
			texts[path] = string(text)
			replace[path] = filepath.Join(dir, fmt.Sprintf("%s-%d%s", m.Name, i, filepath.Ext(path)))
		}
		if n := strings.Count(texts[path], e.Old); n != 1 {
			return "", fmt.Errorf("mutant %s: its text stands %d times in %s", m.Name, n, e.File)
		}
		texts[path] = strings.Replace(texts[path], e.Old, e.New, 1)
	}
	for path, text := range texts {
		if err := os.WriteFile(replace[path], []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, m.Name+".json")
	return path, os.WriteFile(path, overlay, 0o600)
}
