package cli

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"seckill/admin"
	adminhttp "seckill/admin/http"
)

const repository = "../../../.."

var update = flag.Bool("update", false, "write docs/settings.md and docs/commands.md")

// document returns a file of the repository.
func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, name))
	require.NoError(t, err)
	return string(text)
}

const generated = "<!-- Generated: go test ./cmd/seckill/internal/cli -run TestTheReferencePages -update -->\n\n"

const settingsHead = "# Settings\n\n" + generated + `A setting comes from the environment, else from the settings file (` + "`--config FILE`" + `, YAML), else it has its default. In the file its name is in lower case without ` + "`SECKILL_`" + `:

` + "```yaml" + `
redis_addrs: [redis-1:6379, redis-2:6379]
consumer_workers: 4
` + "```" + `

- **secret**: ` + "`SECKILL_…_FILE`" + ` may name a file that has the value, such as ` + "`SECKILL_JWT_SECRETS_FILE`" + `. No command and no log shows a secret.
- **live**: ` + "`seckill limits set`" + ` changes it in all running processes within a second. Such a value overrides the setting until it is unset.

` + "`seckill config`" + ` shows the values that a process would have. All invalid values are reported at the start, with exit code 2.

`

func TestTheReferencePagesAreWhatTheProgramSays(t *testing.T) {
	t.Parallel()
	code, table, stderr := command(t, nil, "config", "--list")
	require.Zero(t, code, stderr)
	for name, want := range map[string]string{"docs/settings.md": settingsHead + table, "docs/commands.md": commandsPage()} {
		if *update {
			require.NoError(t, os.WriteFile(filepath.Join(repository, name), []byte(want), 0o600))
		}
		require.Equal(t, want, document(t, name), "write it anew: go test ./cmd/seckill/internal/cli -run TestTheReferencePages -update")
	}
}

// commandsPage is docs/commands.md.
func commandsPage() string {
	root := newRoot(&process{})
	root.InitDefaultCompletionCmd()
	var page strings.Builder
	fmt.Fprintf(&page, "# Commands\n\n%s%s. `seckill COMMAND --help` shows the same text.\n\n| exit code | meaning |\n|---|---|\n", generated, root.Short)
	for code, meaning := range exitCodes {
		fmt.Fprintf(&page, "| `%d` | %s |\n", code, meaning)
	}
	fmt.Fprintf(&page, "\nEvery command has these flags:\n\n%s", flagTable(root.PersistentFlags()))
	for _, group := range root.Groups() {
		fmt.Fprintf(&page, "\n## %s\n", group.ID)
		for _, c := range root.Commands() {
			if c.GroupID == group.ID && c.Name() != "help" {
				writeCommand(&page, c)
			}
		}
	}
	return page.String()
}

// writeCommand writes a command, or those below it.
func writeCommand(page *strings.Builder, c *cobra.Command) {
	if c.HasSubCommands() && c.Name() != "completion" {
		for _, sub := range c.Commands() {
			writeCommand(page, sub)
		}
		return
	}
	fmt.Fprintf(page, "\n### %s\n\n", c.CommandPath())
	if c.Name() == "completion" {
		fmt.Fprintf(page, "%s: `seckill completion bash`, `fish`, `powershell` or `zsh`.\n", strings.TrimSuffix(c.Short, "."))
		return
	}
	text := c.Long
	if text == "" {
		text = c.Short
	}
	fmt.Fprintf(page, "`%s`\n\n%s.\n", strings.TrimSuffix(c.UseLine(), " [flags]"), strings.TrimSuffix(strings.TrimSpace(text), "."))
	if c.Example != "" {
		fmt.Fprintf(page, "\n```sh\n%s\n```\n", regexp.MustCompile("(?m)^  ").ReplaceAllString(c.Example, ""))
	}
	if c.HasLocalFlags() && c.LocalNonPersistentFlags().HasFlags() {
		fmt.Fprintf(page, "\n%s", flagTable(c.LocalNonPersistentFlags()))
	}
}

func flagTable(flags *pflag.FlagSet) string {
	rows := "| flag | default | |\n|---|---|---|\n"
	flags.VisitAll(func(f *pflag.Flag) {
		name, def := "--"+f.Name, ""
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		kind, usage := pflag.UnquoteUsage(f)
		if kind != "" {
			name += " " + strings.ToUpper(kind)
		}
		if !slices.Contains([]string{"", "0", "0s", "false", "[]"}, f.DefValue) {
			def = "`" + f.DefValue + "`"
		}
		rows += fmt.Sprintf("| `%s` | %s | %s |\n", name, def, usage)
	})
	return rows
}

func TestTheOperationsPagesNameEveryRouteOfOperatorsAndNoOther(t *testing.T) {
	t.Parallel()
	served := adminhttp.NewHandler(admin.New(admin.Options{}), nil, nil, nil).Routes()
	for _, name := range []string{"docs/operations.md", "docs/zh-CN/operations.md"} {
		var named []string
		for _, m := range regexp.MustCompile("(?m)^\\| `([A-Z]+ /admin/v1/[^`]*)` \\|").FindAllStringSubmatch(document(t, name), -1) {
			named = append(named, m[1])
		}
		require.ElementsMatch(t, served, named, name)
	}
}
