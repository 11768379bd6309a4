//go:build e2e

package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The dashboards of a running sale, with a real Prometheus and the rules of
// deploy/prometheus.
func TestTheDashboardSaysWhatTheAuditSays(t *testing.T) {
	const stock = 1000
	s := newShop(t, beside(t), 2, 2)
	m := startMonitor(t, s)
	require.Eventually(t, func() bool { return m.one(t, "sum(up)") == 4 }, 20*time.Second, 200*time.Millisecond, "all four are scraped")
	c := s.newSale(saleTerms{stock: stock}, 3*stock/2)
	c.buy(100)
	c.await(t, 60*time.Second)
	c.pay(c.acceptedIDs()[0], "paid-in-time", 9900)

	boards := readBoards(t)
	t.Run("what was sold", func(t *testing.T) { boards.sameAsAudit(t, m, s, c) })
	t.Run("every query has data", func(t *testing.T) { boards.haveData(t, m, s.urls[0]) })
	t.Run("no alarm fires while all is well", func(t *testing.T) {
		for name, state := range m.states(t) {
			require.NotEqual(t, "firing", state, name)
		}
	})
	t.Run("the table of metrics is what is exported", func(t *testing.T) { tableIsExported(t, s.apis[0], s.consumers[0]) })
	t.Run("an alarm fires when it should", func(t *testing.T) {
		for _, p := range s.consumers {
			p.terminate(30 * time.Second)
		}
		require.Eventually(t, func() bool { return m.states(t)["SeckillNoConsumer"] == "firing" }, 30*time.Second, 500*time.Millisecond)
		shown := m.ask(t, boards["sale-night.json"]["Alarms"][0])
		require.True(t, slices.ContainsFunc(shown, func(a sample) bool {
			return a.labels["alertname"] == "SeckillNoConsumer" && a.labels["severity"] == "critical"
		}), "the dashboard shows it: %v", shown)
	})
}

// boards are the queries of the dashboards, by file and panel.
type boards map[string]map[string][]string

func readBoards(t *testing.T) boards {
	t.Helper()
	files, err := filepath.Glob("../deploy/grafana/dashboards/*.json")
	require.NoError(t, err)
	all := boards{}
	fill := strings.NewReplacer("$__rate_interval", "1m", "$sale", ".+", "$instance", ".+")
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var board struct {
			Panels []struct {
				Title   string `json:"title"`
				Targets []struct {
					Expr string `json:"expr"`
				} `json:"targets"`
			} `json:"panels"`
		}
		require.NoError(t, json.Unmarshal(text, &board))
		panels := map[string][]string{}
		for i, p := range board.Panels {
			title := p.Title
			if panels[title] != nil {
				title = fmt.Sprint(title, " ", i)
			}
			for _, target := range p.Targets {
				panels[title] = append(panels[title], fill.Replace(target.Expr))
			}
		}
		all[filepath.Base(file)] = panels
	}
	require.Len(t, all, 2)
	return all
}

// sameAsAudit compares the dashboard of the sale with `seckill audit`.
func (b boards) sameAsAudit(t *testing.T, m monitor, s *shop, c *crowd) {
	t.Helper()
	report := s.audit(c.sale)
	require.True(t, report.OK, report.Sales[0].Discrepancies)
	a := report.Sales[0]
	require.Equal(t, int64(1), a.Paid)
	night := b["sale-night.json"]
	// What the panels say, and what it must be.
	said := func() map[string]float64 {
		shown := map[string]float64{}
		for i, name := range []string{"total", "left", "pending", "sold"} {
			for _, v := range m.ask(t, night["Sales"][i]) {
				if v.labels["sale"] == c.sale {
					shown[name] = v.value
				}
			}
		}
		for name, panel := range map[string]string{"accepted": "Accepted since start", "oversold": "Oversold", "discrepancies": "Discrepancies", "backlog": "Backlog"} {
			shown[name] = m.one(t, night[panel][0])
		}
		return shown
	}
	want := map[string]float64{
		"total": float64(a.Total), "left": float64(a.Available), "pending": float64(a.Pending), "sold": float64(a.Confirmed + a.Paid),
		"accepted": float64(a.Confirmed + a.Paid + a.Cancelled + a.Rejected), "oversold": 0, "discrepancies": 0, "backlog": 0,
	}
	require.Eventually(t, func() bool { return fmt.Sprint(said()) == fmt.Sprint(want) }, 10*time.Second, 250*time.Millisecond)
	require.Equal(t, want, said())
	require.InDelta(t, len(c.accepted), want["accepted"], 0)
}

// calm are the queries that may have no data while all is well.
var calm = []string{
	`ALERTS{alertstate="firing", alertname=~"Seckill.+"}`,
	`max by (kind) (seckill_audit_discrepancies) > 0`,
	`sum by (kind, cause) (rate(seckill_credentials_refused_total[1m])) > 0`,
	`histogram_quantile(0.99, sum by (le) (rate(seckill_settle_duration_seconds_bucket{instance=~".+", result="error"}[1m])))`,
}

// haveData waits until every query has data. A rate needs requests between two
// scrapes of a series, and the crowd may have been faster: more are sent meanwhile.
func (b boards) haveData(t *testing.T, m monitor, api string) {
	t.Helper()
	var silent []string
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(500 * time.Millisecond) {
		fetch(t, http.DefaultClient, http.MethodGet, api+"/v1/time", "")
		var asked int
		asked, silent = b.silent(t, m)
		require.Greater(t, asked, 80)
		if len(silent) == 0 || time.Now().After(until) {
			break
		}
	}
	require.Empty(t, silent, "without data")
}

// silent returns how many queries there are, and those without the data that
// they always have, with the file and the panel.
func (b boards) silent(t *testing.T, m monitor) (asked int, silent []string) {
	t.Helper()
	for file, panels := range b {
		for panel, queries := range panels {
			for _, q := range queries {
				asked++
				if !slices.Contains(calm, q) && len(m.ask(t, q)) == 0 {
					silent = append(silent, file+": "+panel+": "+q)
				}
			}
		}
	}
	return asked, silent
}

// tableIsExported compares docs/metrics.md with the metrics of two processes.
func tableIsExported(t *testing.T, ps ...*process) {
	t.Helper()
	doc, err := os.ReadFile("../docs/metrics.md")
	require.NoError(t, err)
	names := map[string]bool{}
	for _, p := range ps {
		text, err := p.scrape()
		require.NoError(t, err)
		for _, h := range regexp.MustCompile(`(?m)^# HELP (seckill_\w+) `).FindAllStringSubmatch(string(text), -1) {
			names[h[1]] = true
			require.Regexp(t, `(?m)^\| `+"`"+h[1]+"`"+` \| \w+ \| .*\b`+p.args[0]+`\b`, string(doc))
		}
		check := exec.Command("../scripts/prometheus", "promtool", "check", "metrics")
		check.Stdin = strings.NewReader(string(text))
		out, err := check.CombinedOutput()
		require.NoError(t, err, "%s: %s", p.args[0], out)
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `(seckill_\\w+)` ").FindAllStringSubmatch(string(doc), -1) {
		require.True(t, names[row[1]], "%s is in docs/metrics.md, and no process exports it", row[1])
	}
}
