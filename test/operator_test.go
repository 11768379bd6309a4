//go:build e2e

package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/admin"
	adminhttp "seckill/admin/http"
)

// operator gives commands to one process of a shop, over its admin listener.
type operator struct {
	t     *testing.T
	url   string
	token string
}

// operator returns one with that name, at that process.
func (s *shop) operator(p *process, name string) *operator {
	s.t.Helper()
	token, code := command(s.t, s.env, "", "token", "--operator", name, "--role", "operator")
	require.Zero(s.t, code)
	return (&operator{t: s.t, token: strings.TrimSpace(token)}).at(p)
}

// at is the same operator at another process.
func (o *operator) at(p *process) *operator {
	return &operator{t: o.t, url: "http://" + p.adminAddr() + adminhttp.Prefix, token: o.token}
}

// decision is what a process answered to an operator.
type decision struct {
	status int
	etag   string
	sale   admin.SaleView
	text   string
}

// send sends a request; headers are names and values in turn.
func (o *operator) send(method, path, body string, headers ...string) (decision, error) {
	res, err := send(http.DefaultClient, method, o.url+path, body, append(headers, "Authorization", "Bearer "+o.token)...)
	d := decision{status: res.status, etag: res.header.Get("ETag"), text: res.text}
	_ = json.Unmarshal([]byte(res.text), &d.sale) // of what is no sale, nothing
	return d, err
}

// must is send, with that status.
func (o *operator) must(status int, method, path, body string, headers ...string) decision {
	o.t.Helper()
	d, err := o.send(method, path, body, headers...)
	require.NoError(o.t, err)
	require.Equal(o.t, status, d.status, "%s %s: %s", method, path, d.text)
	return d
}

// view is a sale as an API shows it to shoppers.
type view struct {
	Title string `json:"title"`
	State string `json:"state"`
	Ends  string `json:"ends_at"`
	Stock struct {
		Total int `json:"total"`
	} `json:"stock"`
}

// saleAt returns a sale as the API at url shows it, and nothing while it does not.
func saleAt(url, sale string) (v view) {
	if res, err := get(url + "/v1/sales/" + sale); err == nil {
		_ = json.Unmarshal([]byte(res.text), &v)
	}
	return v
}

// obeyed waits until each API shows a sale as an operator decided, which must
// be within a second.
func (s *shop) obeyed(sale, what string, holds func(v view) bool) {
	s.t.Helper()
	decided := time.Now()
	for _, url := range s.urls {
		for !holds(saleAt(url, sale)) {
			require.Less(s.t, time.Since(decided), time.Second, "%s does not obey: %s", url, what)
			time.Sleep(2 * time.Millisecond)
		}
	}
	s.t.Logf("%s: in force on all %s after it was answered", what, time.Since(decided))
}

func TestEveryInstanceObeysAnOperatorWithinASecond(t *testing.T) {
	s := newShop(t, sharedServers(t), 2, 1)
	sale := s.sale(saleTerms{stock: 100})
	alice := s.operator(s.apis[0], "alice")
	later := time.Now().Add(2 * time.Hour).UTC().Truncate(time.Second)
	for _, c := range []struct {
		what, method, path, body string
		holds                    func(v view) bool
	}{
		{"pause", "POST", "/pause", "", func(v view) bool { return v.State == "paused" }},
		{"resume", "POST", "/resume", "", func(v view) bool { return v.State == "open" }},
		{"restock", "POST", "/restock", `{"units":50}`, func(v view) bool { return v.Stock.Total == 150 }},
		{"title", "PATCH", "", `{"title":"Now with more"}`, func(v view) bool { return v.Title == "Now with more" }},
		{"window", "PATCH", "", fmt.Sprintf(`{"ends_at":%q}`, later.Format(time.RFC3339)), func(v view) bool { return v.Ends == later.Format("2006-01-02T15:04:05.000Z") }},
		{"end", "POST", "/end", "", func(v view) bool { return v.State == "ended" }},
	} {
		var headers []string
		if c.method == "PATCH" {
			headers = []string{"If-Match", alice.must(200, "GET", "sales/"+sale, "").etag}
		}
		alice.must(200, c.method, "sales/"+sale+c.path, c.body, headers...)
		s.obeyed(sale, c.what, c.holds)
	}
}

func TestASoldOutSaleIsRestockedUnderLoad(t *testing.T) {
	const stock, more, times = 300, 150, 4
	s := newShop(t, beside(t), 2, 2)
	c := s.newSale(saleTerms{stock: stock}, 12_000)
	sell := func(first, n, atOnce int) { each(n, atOnce, func(i int) { c.buyOne(first + i) }) }
	sell(0, 2000, 200)
	require.Equal(t, 2000-stock, c.refused["sold-out"])

	flood := make(chan struct{})
	go func() { defer close(flood); sell(2000, 8000, 50) }()
	done := make(chan error, 2*times)
	for i, name := range []string{"alice", "bob"} { // at once, each at another process
		o := s.operator(s.apis[i], name)
		go func() {
			for k := range times {
				d, err := o.send("POST", "sales/"+c.sale+"/restock", fmt.Sprintf(`{"units":%d}`, more), "Idempotency-Key", fmt.Sprint("delivery-", k))
				if err == nil && d.status != http.StatusOK {
					err = fmt.Errorf("restock: %d %s", d.status, d.text)
				}
				done <- err
			}
		}()
	}
	for range 2 * times {
		require.NoError(t, <-done)
	}
	<-flood
	sell(10_000, 2000, 100) // what is left goes now
	const total = stock + 2*times*more
	c.await(t, 60*time.Second)
	require.Equal(t, total, c.ordersThat(t, "confirmed"))
	require.Equal(t, 2*times, c.count(t, `SELECT COUNT(*) FROM audit_log WHERE sale_id = ? AND action = 'restock'`))
	c.proveInvariants(t, total, 1)
}
