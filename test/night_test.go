//go:build e2e

package test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/otlp/otlptest"
)

// A whole night: a sale is steered while thousands buy, and everything that
// looks at it says the same afterwards: both stores, the dashboard in a real
// Prometheus, the events that another program heard, and one order's trace.
func TestTheNightOfASaleIsSteeredByItsOperator(t *testing.T) {
	const stock, more, shoppers = 4000, 500, 9000
	collector := otlptest.New(t)
	env := sharedServers(t)
	env["SECKILL_TRACE_ENDPOINT"], env["SECKILL_TRACE_SAMPLE"] = collector.URL, "0.01"
	env["SECKILL_SHOPPER_RPS"], env["SECKILL_SHOPPER_BURST"] = "1000", "1000"
	s := newShop(t, env, 2, 2)
	outside, night := s.listen(), startMonitor(t, s)
	require.Eventually(t, func() bool { return night.one(t, "sum(up)") == 4 }, 20*time.Second, 200*time.Millisecond, "all four are scraped")
	c := s.newSale(saleTerms{stock: stock}, shoppers)
	alice := s.operator(s.apis[0], "alice")
	steer := func(action, body string, holds func(v view) bool) {
		alice.must(http.StatusOK, "POST", "sales/"+c.sale+"/"+action, body)
		s.obeyed(c.sale, action, holds)
	}

	bought := make(chan struct{})
	go func() { defer close(bought); c.buy(60) }()
	some := func(n int64) {
		require.Eventually(t, func() bool { return c.answered.Load() >= n }, 60*time.Second, time.Millisecond)
	}
	some(300)
	steer("pause", "", func(v view) bool { return v.State == "paused" })
	paused := time.Now()
	tries := c.retries.Load()
	require.Eventually(t, func() bool { return c.retries.Load() >= tries+200 }, 60*time.Second, time.Millisecond, "shoppers keep trying")
	resumed := time.Now()
	steer("resume", "", func(v view) bool { return v.State == "open" })
	steer("restock", `{"units":500}`, func(v view) bool { return v.Stock.Total == stock+more })
	alice.setLimits(`{"consumer_workers":4}`, 4)
	alice.setLimits(`{"shopper_rps":500,"shopper_burst":500}`, 4)
	select {
	case <-bought:
		require.Fail(t, "everybody had bought before the sale was steered")
	default:
	}
	<-bought

	for _, sent := range c.asked {
		require.False(t, sent.After(paused) && sent.Before(resumed), "nobody buys of a sale that is paused")
	}

	c.await(t, 60*time.Second)
	sold := min(stock+more, len(c.accepted))
	require.Equal(t, sold, c.ordersThat(t, "confirmed"))
	c.proveInvariants(t, stock+more, 1)
	require.Equal(t, "paid", c.pay(c.acceptedIDs()[0], "paid-in-time", 9900))
	boards := readBoards(t)
	boards.sameAsAudit(t, night, s, c)
	outside.awaitAll(t, 30*time.Second, c.sale)

	for _, p := range append(s.apis, s.consumers...) {
		p.terminate(30 * time.Second)
	}
	delivered := collector.Spans().Where(func(s otlptest.Span) bool {
		return s.Name == "process "+s.Attrs["messaging.destination.name"]
	})
	require.NotEmpty(t, delivered, "of 100 requests one is traced")
	one := collector.Spans().Trace(delivered[0].Trace)
	for _, hop := range []string{"POST /v1/sales/:id/orders", "reserve", "create " + s.setting("SECKILL_ROCKETMQ_TOPIC"), "process " + s.setting("SECKILL_ROCKETMQ_TOPIC")} {
		one.One(t, hop)
	}
}
