//go:build e2e

package test

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/admin"
)

// finding is what a program reads of preflight.
type finding struct {
	Name   string `json:"name"`
	Level  string `json:"level"`
	Detail string `json:"detail"`
	Advice string `json:"advice"`
}

// preflight is `preflight SALE --json`.
func (s *shop) preflight(sale string) (checks map[string]finding, code int) {
	s.t.Helper()
	out, code := command(s.t, s.env, "", "preflight", sale, "--json")
	var p struct {
		OK     bool      `json:"ok"`
		Checks []finding `json:"checks"`
	}
	require.NoError(s.t, json.Unmarshal([]byte(out), &p), out)
	require.Equal(s.t, code == 0, p.OK, out)
	checks = map[string]finding{}
	for _, f := range p.Checks {
		checks[f.Name] = f
	}
	for _, kv := range s.env {
		if name, value, _ := strings.Cut(kv, "="); strings.Contains(name, "SECRET") || strings.Contains(name, "_KEYS") {
			require.NotContains(s.t, out, value, name)
		}
	}
	return checks, code
}

// TestAnOperatorChecksWatchesAndAddsUpASale does what an operator does in a night,
// with the command line alone.
func TestAnOperatorChecksWatchesAndAddsUpASale(t *testing.T) {
	s := newShop(t, beside(t), 2, 2)
	const stock = 300
	sale := s.sale(saleTerms{stock: stock})
	alice := s.operator(s.apis[0], "alice")

	checks, code := s.preflight(sale)
	require.Zero(t, code, "%+v", checks)
	for _, name := range []string{"sale", "sale in redis", "mysql durability", "redis eviction", "rocketmq topics", "apis", "consumers", "mysql connections", "rocketmq queues"} {
		require.Equal(t, "ok", checks[name].Level, "%s: %+v", name, checks[name])
	}
	for _, i := range alice.instances() {
		require.NotEqual(t, "fail", checks[i.ID].Level, "%+v", checks[i.ID])
		require.NotEmpty(t, checks[i.ID].Detail, "%s is looked at", i.ID)
	}
	_, code = command(t, s.env, "", "preflight", "5")
	require.Equal(t, 3, code)

	views, stop := s.watch(sale)
	c := s.crowd(sale, s.tokens(1, 500))
	c.buy(20)
	c.await(t, 60*time.Second)
	time.Sleep(2500 * time.Millisecond) // a heartbeat and a view
	stop()
	requireTheSaleWasSeen(t, views(), stock)
	var live admin.LiveView
	require.NoError(t, json.Unmarshal([]byte(alice.must(200, "GET", "live?sale_id="+sale, "").text), &live))
	seen := views()
	require.Equal(t, seen[len(seen)-1].Sales, live.Sales, "HTTP shows the same")

	s.requireReportIsTheAudit(sale)
	s.steer("end", sale)
	checks, code = s.preflight(sale)
	require.Equal(t, 1, code)
	require.Equal(t, "fail", checks["sale"].Level)
	for _, k := range s.consumers {
		k.terminate(20 * time.Second)
	}
	checks, code = s.preflight(sale)
	require.Equal(t, 1, code)
	require.Equal(t, "fail", checks["consumers"].Level)
}

// watch runs `sale watch SALE --json` until stopped by Ctrl-C.
func (s *shop) watch(sale string) (views func() []admin.LiveView, stop func()) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), binary, "sale", "watch", sale, "--json", "--interval", "200ms")
	cmd.Env = s.env
	out, err := cmd.StdoutPipe()
	require.NoError(s.t, err)
	require.NoError(s.t, cmd.Start())
	var seen []admin.LiveView
	read := make(chan error, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var v admin.LiveView
			if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
				read <- err
				return
			}
			seen = append(seen, v)
		}
		read <- lines.Err()
	}()
	return func() []admin.LiveView { return seen }, func() {
		require.NoError(s.t, cmd.Process.Signal(os.Interrupt))
		require.NoError(s.t, <-read)
		require.NoError(s.t, cmd.Wait(), "Ctrl-C is how a watch ends")
	}
}

func requireTheSaleWasSeen(t *testing.T, views []admin.LiveView, stock int64) {
	t.Helper()
	require.Greater(t, len(views), 10)
	var accepted, refused, settled bool
	left := stock
	for _, v := range views {
		require.Empty(t, v.Away)
		require.Len(t, v.Instances, 4)
		sale := v.Sales[0]
		require.Equal(t, stock, sale.Available+sale.Pending+sale.Settled)
		require.LessOrEqual(t, sale.Available, left)
		left = sale.Available
		accepted, refused = accepted || v.Accepted > 0, refused || v.Refused > 0
		settled = settled || v.Settled > 0 && v.ToResultP99 != nil && *v.ToResultP99 > 0
		require.NotNil(t, v.Backlog)
	}
	require.True(t, accepted && refused && settled, "the rates were seen")
	last := views[len(views)-1]
	require.Equal(t, "sold_out", last.Sales[0].Status)
	require.Equal(t, stock, last.Sales[0].Settled)
}

// requireReportIsTheAudit compares the sums, the lines and the audit of a sale.
func (s *shop) requireReportIsTheAudit(sale string) {
	s.t.Helper()
	a := s.audit(sale).Sales[0]
	out, code := command(s.t, s.env, "", "sale", "report", sale, "--json")
	require.Zero(s.t, code)
	var r admin.ReportView
	require.NoError(s.t, json.Unmarshal([]byte(out), &r))
	require.Equal(s.t, []int64{a.Total, a.Available, a.LiveUnits, a.Confirmed, a.Paid, a.Cancelled, a.Rejected},
		[]int64{r.Total, r.Available, r.LiveUnits, r.Confirmed.Orders, r.Paid.Orders, r.Cancelled.Orders, r.Rejected.Orders})
	require.Equal(s.t, r.Total, r.Available+r.Confirmed.Units+r.Paid.Units)

	out, code = command(s.t, s.env, "", "sale", "report", sale, "--csv")
	require.Zero(s.t, code)
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	require.NoError(s.t, err)
	require.Len(s.t, rows, int(a.Confirmed+a.Paid+a.Cancelled+a.Rejected)+1)
	var amount int64
	for _, row := range rows[1:] {
		require.Len(s.t, row, len(rows[0]))
		require.Len(s.t, strings.TrimPrefix(row[1], "'"), 32, "the ID that the shopper has")
		if row[7] == "confirmed" {
			n, err := strconv.ParseInt(row[5], 10, 64)
			require.NoError(s.t, err)
			amount += n
		}
	}
	require.Equal(s.t, r.Confirmed.AmountMinor, amount)
	var exports int
	require.NoError(s.t, s.db.QueryRow(`SELECT COUNT(*) FROM audit_log WHERE action = 'export' AND sale_id = ?`, sale).Scan(&exports))
	require.Equal(s.t, 1, exports)
}
