// Command overlay prints the path of the build overlay of a mutant, to run a
// suite against it:
//
//	go test -overlay "$(go run ./test/mutants/overlay no-tombstone)" ./stock
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"seckill/test/mutants"
)

func main() {
	path, err := overlay(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	fmt.Println(path)
}

func overlay(args []string) (string, error) {
	if len(args) != 1 {
		var text strings.Builder
		text.WriteString("usage: go run ./test/mutants/overlay NAME, from the root of the checkout; NAME is one of")
		for _, m := range mutants.All {
			fmt.Fprintf(&text, "\n  %-24s %s", m.Name, m.Breaks)
		}
		return "", errors.New(text.String())
	}
	m, err := mutants.Named(args[0])
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "mutant-")
	if err != nil {
		return "", err
	}
	replace, err := m.Replace(".", dir)
	if err != nil {
		return "", err
	}
	return mutants.WriteOverlay(dir, replace)
}
