package app

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// query is an expression of PromQL, and where it stands.
type query struct{ at, expr string }

// queries are those of Prometheus' rules and of the dashboards; recorded are the
// names that rules record.
func queries(t *testing.T) (all []query, recorded map[string]bool) {
	t.Helper()
	recorded = map[string]bool{}
	for _, file := range []string{"recording.yml", "alerts.yml"} {
		var rules struct {
			Groups []struct {
				Rules []struct{ Record, Alert, Expr string }
			}
		}
		require.NoError(t, yaml.Unmarshal([]byte(document(t, "deploy/prometheus/"+file)), &rules))
		for _, g := range rules.Groups {
			for _, r := range g.Rules {
				all = append(all, query{file + ": " + r.Record + r.Alert, r.Expr})
				recorded[r.Record] = true
			}
		}
	}
	files, err := filepath.Glob(filepath.Join(repository, "deploy/grafana/dashboards/*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var board any
		require.NoError(t, json.Unmarshal(text, &board), file)
		all = append(all, queriesIn(filepath.Base(file), board)...)
	}
	return all, recorded
}

// queriesIn are those of a part of a dashboard: the "expr" of targets and
// annotations, and the "query" of variables.
func queriesIn(at string, part any) (found []query) {
	switch part := part.(type) {
	case map[string]any:
		title, _ := part["title"].(string)
		at = strings.TrimSpace(at + " " + title)
		for key, inner := range part {
			expr, ok := inner.(string)
			if ok && (key == "expr" || key == "query" && part["type"] == "query") {
				found = append(found, query{at, expr})
			}
			found = append(found, queriesIn(at, inner)...)
		}
	case []any:
		for _, inner := range part {
			found = append(found, queriesIn(at, inner)...)
		}
	}
	return found
}

var (
	quoted   = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	grouping = regexp.MustCompile(`\b(by|without|on|ignoring|group_left|group_right|label_values)\s*\(([^()]*)\)`)
	within   = regexp.MustCompile(`\{[^}]*\}|\[[^\]]*\]`)
	word     = regexp.MustCompile(`[a-zA-Z_:$][a-zA-Z0-9_:]*\b\s*\(?`)
	number   = regexp.MustCompile(`\b[0-9][0-9a-zA-Z.]*`)
	matcher  = regexp.MustCompile(`([a-z_]+)(?:=|=~)"([^"]*)"`)
)

// named returns the metrics that an expression of PromQL reads.
func named(expr string) (names []string) {
	expr = quoted.ReplaceAllString(expr, "")
	expr = within.ReplaceAllString(expr, "")
	expr = grouping.ReplaceAllStringFunc(expr, func(g string) string {
		if metric, _, ok := strings.Cut(strings.TrimPrefix(g, "label_values("), ","); ok && strings.HasPrefix(g, "label_values(") {
			return " " + metric + " "
		}
		return " "
	})
	for _, w := range word.FindAllString(number.ReplaceAllString(expr, ""), -1) {
		switch w = strings.TrimSpace(w); {
		case strings.HasSuffix(w, "("), strings.HasPrefix(w, "$"):
		case w == "and", w == "or", w == "unless", w == "bool", w == "offset":
		default:
			names = append(names, w)
		}
	}
	return names
}

func TestTheMetricsOfAnExpressionAreFound(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string][]string{
		`sum by (a, b) (rate(x_total{c="d", e=~"f|g"}[1m])) / ignoring(h) y > 0.5`: {"x_total", "y"},
		`max(x) / (a:b:rate1m > 0) or max(z) == 0`:                                 {"x", "a:b:rate1m", "z"},
		`histogram_quantile(0.99, sum by (le) (rate(w_bucket[$__rate_interval])))`: {"w_bucket"},
		`label_values(x, sale)`: {"x"},
		`time() - max(x offset 5m) and on () vector(1) unless y == bool 1e3`:                   {"x", "y"},
		`label_replace(up{job="a(b)"}, "x", "$1", "y", "(.*)") * on (z) group_left (v) info{}`: {"up", "info"},
	} {
		require.Equal(t, want, named(expr), expr)
	}
}

func TestEveryMetricOfDashboardsAndRulesIsExported(t *testing.T) {
	t.Parallel()
	s := startRoles(t)
	s.buy(t)
	exported := map[string]bool{"up": true, "ALERTS": true} // Prometheus' own
	var all strings.Builder
	for _, reg := range s.registries {
		text := exposed(t, reg)
		all.WriteString(text)
		for line := range strings.Lines(text) {
			if !strings.HasPrefix(line, "#") {
				name, _, _ := strings.Cut(line, " ")
				name, _, _ = strings.Cut(name, "{")
				exported[name] = true
			}
		}
	}
	asked, recorded := queries(t)
	require.Greater(t, len(asked), 120)
	for _, q := range asked {
		names := named(q.expr)
		require.NotEmpty(t, names, "%s: %s", q.at, q.expr)
		for _, name := range names {
			require.True(t, exported[name] || recorded[name], "%s: nobody exports %s", q.at, name)
		}
		for _, m := range matcher.FindAllStringSubmatch(q.expr, -1) {
			requireLabel(t, all.String(), q.at, m[1], m[2])
		}
	}
}

// requireLabel fails unless some series has the label with each of the values:
// a misspelt one would never match, unnoticed.
func requireLabel(t *testing.T, text, at, label, values string) {
	t.Helper()
	switch {
	case label == "job", label == "severity", strings.HasPrefix(label, "alert"): // Prometheus' own
	case label == "code": // statuses are counted from the first on
	case label == "quantile": // 1 in one format, 1.0 in the other
	case strings.Contains(values, "$"): // a dashboard's variable
	default:
		for value := range strings.SplitSeq(values, "|") {
			if !strings.Contains(text, label+`="`+value+`"`) {
				t.Errorf("%s: no series has %s=%q", at, label, value)
			}
		}
	}
}
