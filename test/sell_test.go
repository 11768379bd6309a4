//go:build e2e

package test

import (
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// size returns n, or what the environment says: SECKILL_E2E_SHOPPERS for a
// larger run by hand.
func size(n int) int {
	if v, err := strconv.Atoi(os.Getenv("SECKILL_E2E_SHOPPERS")); err == nil {
		return v
	}
	return n
}

func TestTwentyThousandShoppersBuyOneThousandUnits(t *testing.T) {
	s := newShop(t, beside(t), 2, 2)
	c := s.newSale(saleTerms{stock: 1000}, size(20_000))
	start := time.Now()
	c.buy(300)
	t.Logf("every shopper has an answer after %s", time.Since(start))
	c.await(t, 60*time.Second)
	require.Equal(t, 1000, c.ordersThat(t, "confirmed"))
	require.Equal(t, len(c.tokens)-1000, c.refused["sold-out"])
	c.proveInvariants(t, 1000, 1)
}

func TestALargeSaleSellsOut(t *testing.T) {
	s := newShop(t, beside(t), 2, 2)
	stock := size(15_000)
	c := s.newSale(saleTerms{stock: stock}, stock+1000)
	start := time.Now()
	c.buy(300)
	t.Logf("every shopper has an answer after %s", time.Since(start))
	c.await(t, 60*time.Second)
	t.Logf("every order has its result after %s", time.Since(start))
	require.Equal(t, stock, c.ordersThat(t, "confirmed"))
	c.proveInvariants(t, stock, 1)
}

func TestDoubleClicksAreOneOrder(t *testing.T) {
	s := newShop(t, beside(t), 2, 1)
	sale := s.sale(saleTerms{stock: 500})
	tokens := s.tokens(1, 100)
	var clicks []string
	for _, token := range tokens {
		for range 5 {
			clicks = append(clicks, token)
		}
	}
	c := s.crowd(sale, clicks)
	c.buy(100)
	require.Len(t, c.accepted, 100, "five clicks of a shopper are one order")
	c.await(t, 30*time.Second)
	require.Equal(t, 100, c.count(t, `SELECT COUNT(*) FROM orders WHERE sale_id = ?`))
	c.proveInvariants(t, 500, 1)
}

func TestALoneOrderIsConfirmedWithinATenthOfASecond(t *testing.T) {
	s := newShop(t, sharedServers(t), 1, 1)
	c := s.newSale(saleTerms{stock: 100}, 21)
	var took []time.Duration
	for i := range c.tokens {
		start := time.Now()
		a, err := c.ask(i, http.MethodPost, "/v1/sales/"+c.sale+"/orders", `{}`)
		require.NoError(t, err)
		require.Equal(t, http.StatusAccepted, a.status)
		b, err := c.ask(i, http.MethodGet, a.header.Get("Location")+"?wait=5s", "")
		require.NoError(t, err)
		require.Equal(t, "confirmed", b.orderStatus())
		took = append(took, time.Since(start))
	}
	median := medianOf(took)
	t.Logf("from POST to confirmed: median %s", median)
	require.Less(t, median, 100*time.Millisecond)
}

func TestRefusalsSayWhy(t *testing.T) {
	s := newShop(t, beside(t), 1, 1)
	refusal := func(sale string, token, key, body string) answer {
		a, err := s.crowd(sale, []string{token}).askWithKey(0, key, http.MethodPost, "/v1/sales/"+sale+"/orders", body)
		require.NoError(t, err)
		return a
	}
	ts := s.tokens(1, 10)

	t.Run("before the window", func(t *testing.T) {
		a := refusal(s.sale(saleTerms{stock: 1, starts: time.Hour, ends: 2 * time.Hour}), ts[0], "", `{}`)
		require.Equal(t, http.StatusConflict, a.status)
		require.Equal(t, "sale-not-open", a.body.Code)
		require.NotEmpty(t, a.header.Get("Retry-After"))
	})
	t.Run("after the window", func(t *testing.T) {
		sale := s.sale(saleTerms{stock: 1, starts: -time.Minute, ends: 500 * time.Millisecond})
		time.Sleep(700 * time.Millisecond)
		a := refusal(sale, ts[0], "", `{}`)
		require.Equal(t, http.StatusGone, a.status)
		require.Equal(t, "sale-ended", a.body.Code)
	})
	t.Run("paused, resumed, ended", func(t *testing.T) {
		sale := s.sale(saleTerms{stock: 5})
		s.steer("pause", sale)
		a := refusal(sale, ts[0], "", `{}`)
		require.Equal(t, http.StatusServiceUnavailable, a.status)
		require.Equal(t, "sale-paused", a.body.Code)
		s.steer("resume", sale)
		require.Equal(t, http.StatusAccepted, refusal(sale, ts[0], "", `{}`).status)
		s.steer("end", sale)
		require.Equal(t, "sale-ended", refusal(sale, ts[1], "", `{}`).body.Code)
		c := s.crowd(sale, ts[:1])
		require.True(t, c.ownOrders(0))
		c.await(t, 10*time.Second)
		c.proveInvariants(t, 5, 1)
	})
	t.Run("returned orders", func(t *testing.T) {
		for attempts, code := range map[int]string{1: "attempts-used", 2: "return-pause"} {
			sale := s.sale(saleTerms{stock: 5, attempts: attempts})
			c := s.crowd(sale, ts[:1])
			bought := refusal(sale, ts[0], "a", `{}`)
			require.Equal(t, http.StatusAccepted, bought.status)
			require.Equal(t, "confirmed", c.result(0, bought.body.ID))
			require.Equal(t, "cancelled", c.cancel(0, bought.body.ID))
			require.Equal(t, code, refusal(sale, ts[0], "b", `{}`).body.Code)
			again := refusal(sale, ts[0], "a", `{}`)
			require.Equal(t, bought.body.ID, again.body.ID, "the same purchase finds its order")
			out, code := command(t, s.env, "", "sale", "report", sale)
			require.Zero(t, code, out)
			require.Regexp(t, `(?m)^once +1 +1 +1$`, out)
			out, code = command(t, s.env, "", "rebuild", sale)
			require.Zero(t, code, out)
			require.Eventually(t, func() bool {
				a := refusal(sale, ts[0], "c", `{}`)
				return a.body.Code == map[int]string{1: "attempts-used", 2: "return-pause"}[attempts]
			}, 10*time.Second, 100*time.Millisecond, "what was returned outlives a rebuild")
		}
	})
	t.Run("purchase limit and keys", func(t *testing.T) {
		sale := s.sale(saleTerms{stock: 10, perShopper: 2, units: 2})
		first := refusal(sale, ts[0], "a", `{"quantity":1}`)
		require.Equal(t, http.StatusAccepted, first.status)
		again := refusal(sale, ts[0], "a", `{"quantity":1}`)
		require.Equal(t, first.header.Get("Location"), again.header.Get("Location"))
		require.Equal(t, "true", again.header.Get("Idempotent-Replayed"))
		require.Equal(t, "idempotency-key-reused", refusal(sale, ts[0], "a", `{"quantity":2}`).body.Code)
		require.Equal(t, http.StatusAccepted, refusal(sale, ts[0], "b", `{"quantity":2}`).status)
		third := refusal(sale, ts[0], "c", `{"quantity":1}`)
		require.Equal(t, http.StatusConflict, third.status)
		require.Equal(t, "purchase-limit", third.body.Code)
		require.Equal(t, http.StatusAccepted, refusal(sale, ts[1], "a", `{"quantity":1}`).status, "another shopper's key is another key")
		c := s.crowd(sale, ts[:2])
		require.True(t, c.ownOrders(0))
		require.True(t, c.ownOrders(1))
		require.Len(t, c.accepted, 3)
		c.await(t, 10*time.Second)
		c.proveInvariants(t, 10, 2)
	})
}
