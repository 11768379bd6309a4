package mutants_test

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/test/mutants"
)

const root = "../.."

func TestEachMutantEditsWhatIsThere(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, m := range mutants.All {
		require.False(t, seen[m.Name], m.Name)
		seen[m.Name] = true
		require.NotEmpty(t, m.Edits, m.Name)
		_, err := m.Replace(root, t.TempDir())
		require.NoError(t, err)
	}
	_, err := mutants.Named("none")
	require.ErrorIs(t, err, mutants.ErrUnknown)
}

// The edits together are a program that builds: each by itself does, since none
// of them shares a line with another one. Without the wiring, whose edit is one
// word: it would take as long again.
func TestMutantsBuild(t *testing.T) {
	t.Parallel()
	all := mutants.Mutant{Name: "all"}
	for _, m := range mutants.All {
		all.Edits = append(all.Edits, m.Edits...)
	}
	dir := t.TempDir()
	replace, err := all.Replace(root, dir)
	require.NoError(t, err)
	overlay, err := mutants.WriteOverlay(dir, replace)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "./stock", "./order/mysql", "./consumer", "./event")
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
}
