package cli

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/internal/config"
)

// The commands in the runbook must work.
func TestTheCommandsOfTheRunbookExist(t *testing.T) {
	t.Parallel()
	text := document(t, "docs/operations.md")
	spans := regexp.MustCompile("`seckill ([^`]*)`").FindAllStringSubmatch(text, -1)
	require.Greater(t, len(spans), 40)
	for _, span := range spans {
		words := strings.Fields(span[1])
		c, rest, err := newRoot(&process{}).Find(words)
		require.NoError(t, err, span[0])
		require.False(t, c.HasSubCommands(), "%s needs a subcommand", span[0])
		for i, word := range rest {
			switch name, isFlag := strings.CutPrefix(word, "--"); {
			case isFlag:
				name, _, _ = strings.Cut(name, "=")
				require.NotNil(t, c.Flag(name), "%s: there is no flag --%s", span[0], name)
			case i == 0 && !strings.HasPrefix(word, "-"):
				require.Regexp(t, `^[A-Z]+$`, word, "%s: no such command", span[0])
			}
		}
	}
}

func TestTheSettingsOfTheRunbookExist(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, s := range config.Settings() {
		known[s.Env()] = true
	}
	for _, name := range regexp.MustCompile(`SECKILL_[A-Z_]+`).FindAllString(document(t, "docs/operations.md"), -1) {
		require.True(t, known[name], name)
	}
}

func TestTheKnobsOfTheRunbookAreLiveWhereItSaysSo(t *testing.T) {
	t.Parallel()
	live := (config.Config{}).Limits()
	rows := regexp.MustCompile("(?m)^\\| (`SECKILL_[^|]*) \\| (yes)? ?\\|").FindAllStringSubmatch(document(t, "docs/operations.md"), -1)
	require.Greater(t, len(rows), 5)
	said := map[string]bool{}
	for _, row := range rows {
		for _, s := range config.Settings() {
			if strings.Contains(row[1], "`"+s.Env()+"`") {
				_, isLive := live[s.Key]
				require.Equal(t, isLive, row[2] == "yes", s.Env())
				said[s.Key] = true
			}
		}
	}
	for name := range live {
		if name != "address_rps" { // off by default, and not mentioned in the runbook
			require.True(t, said[name], "docs/operations.md does not name %s", name)
		}
	}
}
