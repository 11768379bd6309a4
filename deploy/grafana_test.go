package deploy_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"seckill/internal/testenv"
)

// dashboard is the visible part of a file of deploy/grafana/dashboards.
type dashboard struct {
	UID         string  `json:"uid"`
	Title       string  `json:"title"`
	Description string  `json:"description"`
	Panels      []panel `json:"panels"`
	Templating  struct {
		List []struct {
			Name string `json:"name"`
		} `json:"list"`
	} `json:"templating"`
}

type panel struct {
	ID          int      `json:"id"`
	Type        string   `json:"type"`
	Title       string   `json:"title"`
	Description string   `json:"description"`
	At          gridPos  `json:"gridPos"`
	Targets     []target `json:"targets"`
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
}

type gridPos struct {
	X int `json:"x"`
	Y int `json:"y"`
	W int `json:"w"`
	H int `json:"h"`
}

type target struct {
	Expr       string `json:"expr"`
	Datasource struct {
		UID string `json:"uid"`
	} `json:"datasource"`
}

func dashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	files, err := filepath.Glob("grafana/dashboards/*.json")
	require.NoError(t, err)
	require.Len(t, files, 2)
	all := map[string]dashboard{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var d dashboard
		require.NoError(t, json.Unmarshal(text, &d), file)
		all[d.UID] = d
	}
	return all
}

func TestDashboardsCanBeReadByAPerson(t *testing.T) {
	t.Parallel()
	for uid, d := range dashboards(t) {
		require.NotEmpty(t, d.Title, uid)
		require.NotEmpty(t, d.Description, uid)
		ids, taken := map[int]bool{}, map[[2]int]string{}
		variables := []string{"$__rate_interval"}
		for _, v := range d.Templating.List {
			variables = append(variables, "$"+v.Name)
		}
		for _, p := range d.Panels {
			require.False(t, ids[p.ID], "%s: %s has the ID of another panel", uid, p.Title)
			ids[p.ID] = true
			require.NotEmpty(t, p.Title)
			for x := p.At.X; x < p.At.X+p.At.W; x++ {
				for y := p.At.Y; y < p.At.Y+p.At.H; y++ {
					require.Empty(t, taken[[2]int{x, y}], "%s: %s lies there, too", uid, p.Title)
					taken[[2]int{x, y}] = p.Title
				}
			}
			require.LessOrEqual(t, p.At.X+p.At.W, 24, p.Title)
			if p.Type == "row" {
				continue
			}
			require.NotEmpty(t, p.Description, p.Title)
			require.NotEmpty(t, p.FieldConfig.Defaults.Unit, p.Title)
			require.NotEmpty(t, p.Targets, p.Title)
			for _, target := range p.Targets {
				require.Equal(t, "${datasource}", target.Datasource.UID, p.Title)
				for _, v := range regexp.MustCompile(`\$\w+`).FindAllString(target.Expr, -1) {
					require.Contains(t, variables, v, p.Title)
				}
			}
		}
	}
}

// promtool reads rules, not dashboards, so each query becomes a rule.
func TestPrometheusUnderstandsEveryQueryOfTheDashboards(t *testing.T) {
	t.Parallel()
	promtool := testenv.Promtool(t)
	var rules []map[string]string
	for _, d := range dashboards(t) {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				expr := strings.NewReplacer("$__rate_interval", "1m", "$sale", ".+", "$instance", ".+").Replace(target.Expr)
				rules = append(rules, map[string]string{"record": fmt.Sprintf("dashboard:query:%d", len(rules)), "expr": expr})
			}
		}
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboards", "rules": rules}}})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "dashboards.yml")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", file).CombinedOutput()
	require.NoError(t, err, string(out))
}

// What the operator of a sale must see at a glance.
func TestSaleNightShowsAllThatASaleIsRunBy(t *testing.T) {
	t.Parallel()
	var queries strings.Builder
	for _, p := range dashboards(t)["seckill-sale-night"].Panels {
		for _, target := range p.Targets {
			fmt.Fprintln(&queries, target.Expr)
		}
	}
	for _, metric := range []string{
		"seckill_orders_accepted_total", "seckill_orders_settled_total", "seckill_orders_refused_total",
		"seckill_backlog_orders", "seckill:backlog_drain:seconds", "seckill_time_to_result_seconds_bucket",
		"seckill_stock_available_units", "seckill_stock_pending_units", "seckill_stock_settled_units",
		"seckill_audit_discrepancies", "seckill_oversold_units", "seckill_breaker_state",
		"seckill_dependency_duration_seconds_bucket", "seckill_settle_duration_seconds_bucket", "ALERTS",
	} {
		require.Contains(t, queries.String(), metric)
	}
}
