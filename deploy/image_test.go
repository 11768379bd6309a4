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
	require.Empty(t, outdated(regexp.MustCompile(`golang:\S+`).FindString(text)))
	require.Contains(t, string(gomod), "\ngo "+builder[1]+".", "another Go than go.mod wants")
}

// The image's build has only the files that .dockerignore lets through: all files that the
// program is compiled from must be among them. It is built without -trimpath here, to use
// the build cache.
func TestTheImageBuildsFromWhatDockerignoreLetsThrough(t *testing.T) {
	t.Parallel()
	build := regexp.MustCompile(`go build (.*) -o /out/seckill (\S+)`).FindStringSubmatch(dockerfile(t))
	require.NotNil(t, build)
	require.Contains(t, dockerfile(t), "CGO_ENABLED=0 ", "the image has no C library")
	named := letThrough(t)
	for _, file := range append(sources(t, build[2]), "go.mod", "go.sum") {
		top, _, _ := strings.Cut(file, "/")
		require.Contains(t, named, top, "%s is missing in the image's build", file)
		require.NotContains(t, file, "testdata/")
	}

	binary := filepath.Join(t.TempDir(), "seckill")
	script := `go build ` + strings.Replace(build[1], "-trimpath", "", 1) + ` -o ` + binary + ` ` + build[2]
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	cmd.Dir = ".."
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

// sources returns the files of this module that a package is compiled from,
// embedded ones included, as paths from the module's root.
func sources(t *testing.T, pkg string) (files []string) {
	t.Helper()
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	const format = `{{if .Module}}{{if .Module.Main}}{{$dir := .Dir}}{{range .GoFiles}}{{$dir}}/{{.}}
{{end}}{{range .EmbedFiles}}{{$dir}}/{{.}}
{{end}}{{end}}{{end}}`
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", format, pkg)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.Output()
	require.NoError(t, err)
	for file := range strings.FieldsFuncSeq(string(out), func(r rune) bool { return r == '\n' }) {
		path, err := filepath.Rel(root, file)
		require.NoError(t, err)
		files = append(files, filepath.ToSlash(path))
	}
	require.Contains(t, files, "cmd/seckill/main.go")
	return files
}

// letThrough returns what .dockerignore names with a !.
func letThrough(t *testing.T) (names []string) {
	t.Helper()
	text, err := os.ReadFile("../.dockerignore")
	require.NoError(t, err)
	require.Contains(t, string(text), "\n*\n", "everything is left out that is not named")
	for line := range strings.Lines(string(text)) {
		if name, named := strings.CutPrefix(strings.TrimSpace(line), "!"); named {
			names = append(names, name)
		}
	}
	return names
}
