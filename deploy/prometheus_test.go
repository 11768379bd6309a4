package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"seckill/internal/testenv"
)

// rule is one of Prometheus' rules.
type rule struct {
	Record, Alert, Expr, For string
	Labels, Annotations      map[string]string
}

// rulesOf returns the rules of deploy/prometheus that have a name: alarms, or
// recorded ones.
func rulesOf(t *testing.T, name func(rule) string) map[string]rule {
	t.Helper()
	named := map[string]rule{}
	for _, file := range []string{"recording.yml", "alerts.yml"} {
		var rules struct {
			Groups []struct{ Rules []rule }
		}
		readYAML(t, filepath.Join("prometheus", file), &rules)
		for _, g := range rules.Groups {
			for _, r := range g.Rules {
				if n := name(r); n != "" {
					require.NotContains(t, named, n)
					named[n] = r
				}
			}
		}
	}
	require.NotEmpty(t, named)
	return named
}

func alarms(t *testing.T) map[string]rule {
	t.Helper()
	return rulesOf(t, func(r rule) string { return r.Alert })
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, into), path)
}

func ruleTests(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("prometheus/test/*.yml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

func TestPrometheusTakesItsConfigurationAndTheRulesPassTheirTests(t *testing.T) {
	t.Parallel()
	promtool := testenv.Promtool(t)
	for _, args := range [][]string{
		{"check", "config", "--lint-fatal", "prometheus/prometheus.yml"},
		append([]string{"test", "rules"}, ruleTests(t)...),
	} {
		out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput()
		require.NoError(t, err, string(out))
	}
}

func TestEachAlarmIsSeenToRingAndToBeQuiet(t *testing.T) {
	t.Parallel()
	rings, quiet := map[string]bool{}, map[string]bool{}
	for _, file := range ruleTests(t) {
		var suite struct {
			Tests []struct {
				Alerts []struct {
					Name     string `yaml:"alertname"`
					Expected []any  `yaml:"exp_alerts"`
				} `yaml:"alert_rule_test"`
			}
		}
		readYAML(t, file, &suite)
		for _, test := range suite.Tests {
			for _, a := range test.Alerts {
				seen := quiet
				if len(a.Expected) > 0 {
					seen = rings
				}
				seen[a.Name] = true
			}
		}
	}
	for name := range alarms(t) {
		require.True(t, rings[name], "no test sees %s ring", name)
		require.True(t, quiet[name], "no test sees %s be quiet", name)
	}
}

// entry is the form of an alarm's entry in the runbook.
var entry = regexp.MustCompile(`(?s)^\n\*\*Means\*\* \((critical|warning)\): \S.*\n\n\*\*Shoppers\*\*: \S.*\n\n\*\*Look\*\*: \S.*\n\n\*\*Do\*\*: \S[^\n]*\n*$`)

func TestEachAlarmHasItsEntryInTheRunbook(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/operations.md")
	require.NoError(t, err)
	_, runbook, ok := strings.Cut(string(text), "\n## Alarms\n")
	require.True(t, ok)
	entries := map[string]string{}
	for _, section := range strings.Split("\n"+runbook, "\n### ")[1:] {
		name, body, _ := strings.Cut(section, "\n")
		entries[name] = body
	}
	all := alarms(t)
	for name, a := range all {
		require.Regexp(t, `^Seckill[A-Z]\w+$`, name)
		require.NotEmpty(t, a.Annotations["summary"], name)
		require.NotEmpty(t, a.Annotations["description"], name)
		require.Equal(t, "docs/operations.md#"+strings.ToLower(name), a.Annotations["runbook_url"])
		said := entry.FindStringSubmatch(entries[name])
		require.NotNil(t, said, "docs/operations.md: %s: wants Means, Shoppers, Look and Do", name)
		require.Equal(t, said[1], a.Labels["severity"], name)
	}
	for name := range entries {
		require.Contains(t, all, name, "docs/operations.md has an entry for no alarm")
	}
	headings := regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(text), -1)
	anchors := []string{}
	for _, h := range headings {
		anchors = append(anchors, strings.ReplaceAll(strings.ToLower(h[1]), " ", "-"))
	}
	for _, link := range regexp.MustCompile(`\]\(#([^)]*)\)`).FindAllStringSubmatch(string(text), -1) {
		require.True(t, slices.Contains(anchors, link[1]), "docs/operations.md: no heading for #%s", link[1])
	}
}
