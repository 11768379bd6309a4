package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func dockerfile(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../Dockerfile")
	require.NoError(t, err)
	return strings.ReplaceAll(string(text), "\\\n", " ")
}

// lastStage returns the instructions of the last stage, by their words.
func lastStage(text string) map[string]string {
	stage := map[string]string{}
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if word == "FROM" {
			clear(stage)
		}
		if word != "#" && word != "" {
			stage[word] = strings.TrimSpace(rest)
		}
	}
	return stage
}

func TestTheImageHoldsTheProgramAloneAndRunsItWithoutRoot(t *testing.T) {
	t.Parallel()
	text := dockerfile(t)
	stage := lastStage(text)
	require.Regexp(t, `^gcr\.io/distroless/static-debian[0-9]+:nonroot$`, stage["FROM"])
	require.Equal(t, "nonroot:nonroot", stage["USER"])
	require.Equal(t, `["/seckill"]`, stage["ENTRYPOINT"], "the compose file's commands and health checks say /seckill")
	require.Equal(t, "--from=build /out/seckill /seckill", stage["COPY"])
	require.NotContains(t, stage, "CMD", "a role is chosen, not defaulted to")
	require.NotContains(t, stage, "RUN", "there is no shell")

	builder := regexp.MustCompile(`golang:([0-9]+\.[0-9]+)\.[0-9]+-`).FindStringSubmatch(text)
	require.NotNil(t, builder, "the compiler is not pinned")
	gomod, err := os.ReadFile("../go.mod")
	require.NoError(t, err)
	require.Contains(t, string(gomod), "\ngo "+builder[1]+".", "another Go than go.mod wants")
}

// What .dockerignore lets through is all a build has: it must suffice.
func TestTheImageBuildsFromWhatDockerignoreLetsThrough(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	copyContext(t, dir)
	build := regexp.MustCompile(`go build (.*) -o /out/seckill (\S+)`).FindStringSubmatch(dockerfile(t))
	require.NotNil(t, build)
	require.Contains(t, dockerfile(t), "CGO_ENABLED=0 ", "the image has no C library")
	binary := filepath.Join(dir, "seckill")
	// Without -trimpath, and with cgo as it is here, what is compiled already is used.
	script := `go build ` + strings.Replace(build[1], "-trimpath", "", 1) + ` -o ` + binary + ` ` + build[2]
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "VERSION=1.2.3", "GOFLAGS=")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s\n%s", script, out)

	got, err := exec.CommandContext(t.Context(), binary, "version").CombinedOutput()
	require.NoError(t, err)
	require.Contains(t, string(got), "seckill 1.2.3")
	for _, command := range []string{"api", "consumer", "migrate up", "healthcheck"} { // of the compose file
		help, err := exec.CommandContext(t.Context(), binary, append(strings.Fields(command), "--help")...).Output()
		require.NoError(t, err)
		require.Contains(t, string(help), "\n  seckill "+command+" ", "no such command")
	}
}

// copyContext copies what .dockerignore names with a ! into dir, less the tests.
func copyContext(t *testing.T, dir string) {
	t.Helper()
	text, err := os.ReadFile("../.dockerignore")
	require.NoError(t, err)
	require.Contains(t, string(text), "\n*\n", "everything is left out that is not named")
	for line := range strings.Lines(string(text)) {
		name, named := strings.CutPrefix(strings.TrimSpace(line), "!")
		if !named {
			continue
		}
		from := filepath.Join("..", name)
		info, err := os.Stat(from)
		require.NoError(t, err)
		if info.IsDir() {
			require.NoError(t, os.CopyFS(filepath.Join(dir, name), os.DirFS(from)))
			continue
		}
		file, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), file, 0o600))
	}
	require.NoError(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") {
			return os.Remove(path)
		}
		return err
	}))
}
