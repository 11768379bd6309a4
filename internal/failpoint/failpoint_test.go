package failpoint_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/internal/failpoint"
)

func TestAReleaseHasNoFailpoints(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds the program twice: not with -short")
	}
	traces := []string{"SECKILL_FAILPOINT", failpoint.AfterCommit, "internal/failpoint."}
	for _, c := range []struct {
		tags string
		want bool
	}{{"", false}, {"failpoint", true}} {
		binary := filepath.Join(t.TempDir(), "seckill")
		out, err := exec.CommandContext(t.Context(), "go", "build", "-tags", c.tags, "-o", binary, "seckill/cmd/seckill").CombinedOutput()
		require.NoError(t, err, string(out))
		program, err := os.ReadFile(binary)
		require.NoError(t, err)
		for _, trace := range traces {
			require.Equal(t, c.want, bytes.Contains(program, []byte(trace)), "%q in the program built with tags %q", trace, c.tags)
		}
	}
}

func TestEachNameStandsForOneThing(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, p := range failpoint.Points {
		require.False(t, seen[p.Name], p.Name)
		require.Contains(t, []string{"api", "consumer"}, p.Role)
		seen[p.Name] = true
	}
}
