//go:build e2e

package test

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/reconcile"
)

// TestAFlushWithMySQLAwayVoidsNoOrderThatTheBrokerHolds: Redis has forgotten the
// orders, MySQL has yet to hear of them, and shoppers ask for them all the time.
// An order may be voided when it is older than reconcile.TMax, so MySQL is away
// for longer than that: for SECKILL_FAULTS_AWAY seconds.
func TestAFlushWithMySQLAwayVoidsNoOrderThatTheBrokerHolds(t *testing.T) {
	away := time.Duration(number("SECKILL_FAULTS_AWAY", 65)) * time.Second
	require.GreaterOrEqual(t, away, reconcile.TMax)
	const shoppers = 600
	a := newTestbed(t, ownServers(t), binary, false)
	defer a.heal()
	a.launch()
	c := a.sellFrom(0, shoppers, 2*shoppers)
	late := a.roles[2] // the consumer that has messages when the other is through

	each(shoppers/3, 50, c.buyOne)
	require.NoError(t, a.servers["mariadb"].kill())
	each(shoppers-shoppers/3, 50, func(i int) { c.buyOne(shoppers/3 + i) })
	require.Len(t, c.accepted, shoppers, "refused: %v", c.refused)
	require.NoError(t, a.shop.rdb.FlushAll(t.Context()).Err())

	ctx, cancel := context.WithCancel(t.Context())
	var polling sync.WaitGroup
	defer polling.Wait()
	defer cancel()
	polling.Go(func() { a.pollAt(ctx, 1, c) })
	time.Sleep(away)
	require.NoError(t, late.signal(syscall.SIGSTOP))
	require.NoError(t, a.servers["mariadb"].start())
	a.awaitLoaded(c)
	time.Sleep(10 * time.Second) // each order is asked for again and again
	require.Less(t, c.ordersThat(t, "confirmed"), shoppers, "no message is late")
	require.NoError(t, late.signal(syscall.SIGCONT))

	require.Empty(t, a.await(time.Minute))
	require.Equal(t, shoppers, c.ordersThat(t, "confirmed"))
}

// sellFrom opens one sale of which each order is bought at one API.
func (a *testbed) sellFrom(api, shoppers, units int) *trackedCrowd {
	seller := *a.shop
	seller.urls = a.shop.urls[api : api+1]
	c := newTrackedCrowd(seller.crowd(seller.sale(saleTerms{stock: units}), seller.tokens(1, shoppers)), units, 1, 1)
	c.lossy = true
	a.crowds = []*trackedCrowd{c}
	a.known()
	return c
}

// pollAt asks an API for every order of the crowd until ctx is done.
func (a *testbed) pollAt(ctx context.Context, api int, c *trackedCrowd) {
	looker := (&shop{urls: a.shop.urls[api : api+1]}).crowd(c.sale, c.tokens)
	ids := c.acceptedIDs()
	for ctx.Err() == nil {
		each(len(ids), 20, func(k int) {
			asked := time.Now()
			got, err := looker.ask(c.accepted[ids[k]], http.MethodGet, "/v1/orders/"+ids[k], "")
			if err == nil && got.status == http.StatusOK && got.body.Done {
				c.addAnswer(ids[k], got.orderStatus(), asked)
			}
		})
	}
}

// awaitLoaded waits until Redis has the sale again.
func (a *testbed) awaitLoaded(c *trackedCrowd) {
	sale, err := strconv.ParseInt(c.sale, 10, 64)
	require.NoError(a.t, err)
	require.Eventually(a.t, func() bool {
		ms, err := a.ledger.Metas(a.t.Context(), []int64{sale})
		return err == nil && ms[0].Loaded
	}, time.Minute, 100*time.Millisecond, "the sale is not loaded again")
}
