// Package layout holds nothing but a test: the rules of the tree that no linter
// has. Which package may import which stands in .golangci.yml (depguard).
package layout

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	root     = "../.."
	maxFiles = 20  // of a package, without its tests
	maxLines = 400 // of a file
)

type pkg struct {
	ImportPath   string
	GoFiles      []string
	Imports      []string
	Deps         []string
	Dir          string
	TestGoFiles  []string
	XTestGoFiles []string
}

func packages(t *testing.T) (all []pkg) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,GoFiles,Imports,Deps,Dir,TestGoFiles,XTestGoFiles", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	require.NoError(t, err)
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := d.Decode(&p) //nolint:musttag // the names are those of go list
		if errors.Is(err, io.EOF) {
			require.Greater(t, len(all), 30)
			return all
		}
		require.NoError(t, err)
		all = append(all, p)
	}
}

func TestNoPackageIsTooLarge(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if n := len(p.GoFiles); n > maxFiles {
			t.Errorf("%s has %d files, at most %d: split it, or merge files that belong together", p.ImportPath, n, maxFiles)
		}
	}
}

func TestNoFileIsTooLong(t *testing.T) {
	t.Parallel()
	require.NoError(t, filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root:
			return filepath.SkipDir
		case filepath.Ext(path) != ".go":
			return nil
		}
		text, err := os.ReadFile(path)
		if lines := bytes.Count(text, []byte("\n")); lines > maxLines {
			t.Errorf("%s has %d lines, at most %d", path, lines, maxLines)
		}
		return err
	}))
}

// The domain knows nobody, so that its rules can be read, tested and reused
// without anything else.
func TestTheDomainImportsNothingOfOurs(t *testing.T) {
	t.Parallel()
	all := packages(t)
	i := slices.IndexFunc(all, func(p pkg) bool { return p.ImportPath == "seckill/order" })
	require.GreaterOrEqual(t, i, 0)
	for _, dep := range all[i].Deps {
		require.False(t, strings.HasPrefix(dep, "seckill/"), dep)
	}
}

// A station knows the contract of another one, never its real part: only wiring
// and tests put the two together.
func TestOnlyWiringImportsTheRealParts(t *testing.T) {
	t.Parallel()
	parts := []string{"seckill/order/mysql", "seckill/order/memory", "seckill/queue/rocketmq", "seckill/queue/memory"}
	wiring := []string{"seckill/cmd/seckill", "seckill/loadtest/", "seckill/test/", "seckill/internal/testenv"}
	for _, p := range packages(t) {
		if slices.ContainsFunc(wiring, func(w string) bool { return strings.HasPrefix(p.ImportPath, w) }) {
			continue
		}
		for _, part := range parts {
			require.NotContains(t, p.Imports, part, p.ImportPath)
		}
	}
}
