package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"seckill/admin"
	adminhttp "seckill/admin/http"
	"seckill/internal/config"
)

const repository = "../../../.."

// document returns a file at the root of the repository.
func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, name))
	require.NoError(t, err)
	return string(text)
}

var languages = []string{"README.md", "README.zh-CN.md"}

func TestTheSettingsTableOfTheREADMEIsWhatConfigListPrints(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	code := Run(t.Context(), []string{"config", "--list"}, nil, strings.NewReader(""), &stdout, &stderr)
	require.Zero(t, code, stderr.String())
	table := settingsTable(document(t, "README.md"))
	require.Equal(t, stdout.String(), table, "paste what `seckill config --list` prints")
}

func TestTheChineseREADMEHasEverySettingWithItsDefault(t *testing.T) {
	t.Parallel()
	rows := strings.Split(strings.TrimSpace(settingsTable(document(t, "README.zh-CN.md"))), "\n")[2:]
	require.Len(t, rows, len(config.Settings()))
	for i, s := range config.Settings() {
		def := ""
		if s.Default != "" {
			def = "`" + s.Default + "`"
		}
		cells := strings.SplitN(rows[i], "|", 4)
		require.Len(t, cells, 4, rows[i])
		require.Equal(t, "`"+s.Env()+"`", strings.TrimSpace(cells[1]))
		require.Equal(t, def, strings.TrimSpace(cells[2]), s.Env())
		require.NotEmpty(t, strings.Trim(cells[3], "| "), s.Env())
	}
}

// settingsTable returns the one table with settings in it.
func settingsTable(text string) string {
	for block := range strings.SplitSeq(text, "\n\n") {
		if strings.HasPrefix(block, "| ") && strings.Contains(block, "| `SECKILL_") {
			return strings.TrimSuffix(block, "\n") + "\n"
		}
	}
	return ""
}

func TestTheREADMEsNameEveryCommandAndNoOther(t *testing.T) {
	t.Parallel()
	for _, name := range languages {
		var named []string
		for _, m := range regexp.MustCompile(`(?m)^(seckill [a-z-]+(?: [a-z-]+)?)(?:  |$)`).FindAllStringSubmatch(document(t, name), -1) {
			named = append(named, m[1])
		}
		require.ElementsMatch(t, append(leaves(newRoot(&process{})), "seckill completion"), named, name)
	}
}

func TestTheREADMEsNameEveryRouteOfOperatorsAndNoOther(t *testing.T) {
	t.Parallel()
	served := adminhttp.NewHandler(admin.New(admin.Options{}), nil).Routes()
	for _, name := range languages {
		var named []string
		for _, m := range regexp.MustCompile("(?m)^\\| `([A-Z]+ /admin/v1/[^`]*)` \\|").FindAllStringSubmatch(document(t, name), -1) {
			named = append(named, m[1])
		}
		require.ElementsMatch(t, served, named, name)
	}
}

// leaves returns the commands that do something.
func leaves(c *cobra.Command) (paths []string) {
	if !c.HasSubCommands() {
		return []string{c.CommandPath()}
	}
	for _, sub := range c.Commands() {
		paths = append(paths, leaves(sub)...)
	}
	return paths
}

func TestTheREADMEsNameEveryExitCode(t *testing.T) {
	t.Parallel()
	for _, name := range languages {
		for _, code := range []int{exitOK, exitFailure, exitUsage, exitNotFound, exitBroken, exitDependency} {
			require.Contains(t, document(t, name), "\n| `"+strconv.Itoa(code)+"` | ", name)
		}
	}
}

func TestTheREADMEsHaveTheSameStructure(t *testing.T) {
	t.Parallel()
	shape := func(name string) (lines []string) {
		for line := range strings.Lines(document(t, name)) {
			if m := regexp.MustCompile("^(#+|```[a-z]*|\\||[0-9]+\\.|-) ?").FindStringSubmatch(line); m != nil {
				lines = append(lines, m[1])
			}
		}
		return lines
	}
	require.Equal(t, shape(languages[0]), shape(languages[1]))
}

// link is a Markdown link or image; its first group is where it leads.
var link = regexp.MustCompile(`\]\(([^)\s]+)\)`) //nolint:gochecknoglobals // compiled once

func TestEveryRelativeLinkLeadsSomewhere(t *testing.T) {
	t.Parallel()
	for _, name := range append(languages, "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md") {
		for _, m := range link.FindAllStringSubmatch(document(t, name), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(m[1], "://") {
				continue
			}
			if target == "" {
				target = name
			}
			_, err := os.Stat(filepath.Join(repository, target))
			require.NoError(t, err, "%s links to it", name)
			if anchor != "" {
				require.Contains(t, anchors(document(t, target)), anchor, "%s links to it in %s", name, target)
			}
		}
	}
}

// anchors returns the names that headings can be linked by.
func anchors(text string) (names []string) {
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		plain := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		names = append(names, strings.ReplaceAll(plain, " ", "-"))
	}
	return names
}
