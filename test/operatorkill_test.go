//go:build e2e

package test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/failpoint"
)

// TestAnOperatorsActionSurvivesTheDeathOfItsProcess kills the process that an
// operator asked, between the COMMIT and Redis, once for each action.
func TestAnOperatorsActionSurvivesTheDeathOfItsProcess(t *testing.T) {
	env := beside(t)
	servers := map[string]string{"first server": env["SECKILL_MYSQL_DSN"]}
	if dsn := env["SECKILL_TEST_MYSQL8_DSN"]; dsn != "" {
		servers["MySQL 8"] = dsn
	}
	for name, dsn := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := maps.Clone(env)
			env["SECKILL_MYSQL_DSN"] = dsn
			killOperators(t, env)
		})
	}
}

func killOperators(t *testing.T, env map[string]string) {
	path, err := faulty()
	require.NoError(t, err)
	s := newShop(t, env, 1, 1)
	c := s.newSale(saleTerms{stock: 10}, 4)
	c.buy(4)
	c.await(t, 20*time.Second)
	ids := c.acceptedIDs()
	require.Len(t, ids, 4)
	healthy := s.operator(s.apis[0], "alice")
	for i, a := range []struct {
		method, path, body string
		status             int
		action             string // in the audit log
	}{
		{"POST", "sales/" + c.sale + "/pause", "", 200, "pause"},
		{"POST", "sales/" + c.sale + "/resume", "", 200, "resume"},
		{"POST", "sales/" + c.sale + "/restock", `{"units":7}`, 200, "restock"},
		{"POST", "sales/" + c.sale + "/extend-pay", `{"minutes":5}`, 200, "extend-pay"},
		{"PATCH", "sales/" + c.sale, fmt.Sprintf(`{"ends_at":%q}`, time.Now().Add(3*time.Hour).Format(time.RFC3339)), 200, "change"},
		{"POST", "orders/" + ids[0] + "/cancel", "", 200, "cancel"},
		{"POST", "sales/" + c.sale + "/rebuild", "", 200, "rebuild"},
		{"POST", "sales", scheduledSale(), 201, "create"},
		{"POST", "sales/" + c.sale + "/end", "", 200, "end"},
		{"POST", "sales/" + c.sale + "/void", "", 200, "void"},
	} {
		headers := []string{"Idempotency-Key", fmt.Sprint("key-", i)}
		if a.method == "PATCH" {
			headers = append(headers, "If-Match", healthy.must(200, "GET", "sales/"+c.sale, "").etag)
		}
		doomed := newProcess(t, append(s.env, "SECKILL_FAILPOINT="+failpoint.AfterCommit+":kill"), "api", "--listen", "127.0.0.1:0")
		doomed.path = path
		doomed.start()
		_, err := healthy.at(doomed).send(a.method, a.path, a.body, headers...)
		require.Error(t, err, "%s: the process is killed before it answers", a.action)
		select {
		case <-doomed.ended:
		case <-time.After(5 * time.Second):
			t.Fatalf("%s: nothing was committed", a.action)
		}
		died := time.Now()
		require.Eventually(t, func() bool {
			d := healthy.must(200, "GET", "sales/"+c.sale, "")
			r := d.sale.Redis
			return r.Loaded && r.Applied == d.sale.Seq && r.State == d.sale.State && r.Total == int64(d.sale.Total)
		}, 10*time.Second, 10*time.Millisecond, "%s does not reach Redis", a.action)
		t.Logf("%s: in Redis %s after the kill", a.action, time.Since(died).Round(time.Millisecond))
		healthy.must(a.status, a.method, a.path, a.body, headers...) // as the operator does, who had no answer
		var rows int
		require.NoError(t, s.db.QueryRow(`SELECT COUNT(*) FROM audit_log WHERE action = ?`, a.action).Scan(&rows))
		want := 1
		if a.action == "create" {
			want = 2 // the sale of this test, and the one made here
		}
		require.Equal(t, want, rows, "%s is done once", a.action)
	}
	require.Eventually(t, func() bool {
		return c.ordersThat(t, "confirmed") == 0
	}, 20*time.Second, 50*time.Millisecond, "what was voided is cancelled")
	d := healthy.must(200, "GET", "sales/"+c.sale, "")
	require.Equal(t, []any{17, 17, "15m0s", "ended", true}, []any{d.sale.Total, d.sale.Available, d.sale.PayWithin, d.sale.State, d.sale.Voided})
	require.Eventually(t, func() bool { return s.audit(c.sale).OK }, 20*time.Second, 200*time.Millisecond)
	require.Equal(t, 2, c.count(t, `SELECT COUNT(*) FROM sales WHERE id >= ?`), "created once")
}

// scheduledSale is a sale of next week.
func scheduledSale() string {
	starts := time.Now().Add(7 * 24 * time.Hour)
	return fmt.Sprintf(`{"title":"next","price_minor":1,"currency":"CNY","stock":1,"starts_at":%q,"ends_at":%q}`,
		starts.Format(time.RFC3339), starts.Add(time.Hour).Format(time.RFC3339))
}
