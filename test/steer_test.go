//go:build e2e

package test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A sale is paused, resumed and restocked, and limits change, while thousands buy.
func TestASaleIsSteeredUnderLoad(t *testing.T) {
	const stock, more, shoppers = 4000, 500, 9000
	env := sharedServers(t)
	env["SECKILL_SHOPPER_RPS"], env["SECKILL_SHOPPER_BURST"] = "1000", "1000"
	s := newShop(t, env, 2, 2)
	c := s.newSale(saleTerms{stock: stock}, shoppers)
	alice := s.operator(s.apis[0], "alice")
	steer := func(action, body string, holds func(v view) bool) {
		alice.must(http.StatusOK, "POST", "sales/"+c.sale+"/"+action, body)
		s.obeyed(c.sale, action, holds)
	}

	bought := make(chan struct{})
	go func() { defer close(bought); c.buy(60) }()
	require.Eventually(t, func() bool { return c.answered.Load() >= 300 }, 60*time.Second, time.Millisecond)
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
}
