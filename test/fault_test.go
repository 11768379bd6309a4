//go:build e2e

package test

import (
	"maps"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// underLoad buys with a crowd that arrives at a steady pace, and calls fault when a
// part of it has its answer. It returns when every shopper has one.
func underLoad(c *crowd, part float64, fault func()) {
	bought := make(chan struct{})
	go func() { c.arrive(pace); close(bought) }()
	for c.answered.Load() < int64(part*float64(len(c.tokens))) {
		select {
		case <-bought: // too fast for the fault: the test asks for more shoppers
			c.shop.t.Fatal("the whole crowd had its answers before the fault")
		case <-time.After(time.Millisecond):
		}
	}
	fault()
	<-bought
}

// pace is the time between two shoppers of such a crowd.
const pace = 2 * time.Millisecond

// prove waits for every result and checks the promises.
func (c *crowd) prove(t *testing.T, stock int) {
	t.Helper()
	require.Zero(t, c.refused["no answer"], "every shopper gets an answer: %v", c.refused)
	c.await(t, 60*time.Second)
	c.proveInvariants(t, stock, 1)
}

// survives sells 2,400 units to 3,000 shoppers, with a fault after a part of
// them, and checks the promises.
func (s *shop) survives(part float64, fault func()) *crowd {
	s.t.Helper()
	c := s.newSale(saleTerms{stock: 2400}, 3000)
	underLoad(c, part, fault)
	c.prove(s.t, 2400)
	return c
}

func TestATerminatedRoleLosesNothingUnderLoad(t *testing.T) {
	s := newShop(t, beside(t), 2, 2)
	c := s.survives(0.1, func() {
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP} { // a terminal that closes is a SIGHUP
			for _, p := range []*process{s.apis[0], s.consumers[0]} {
				p.signal(sig, 20*time.Second)
				p.start()
			}
		}
	})
	require.Len(t, c.final, 2400, "stock was enough for 2,400 of them")
}

func TestAKilledAPILosesNothing(t *testing.T) {
	s := newShop(t, beside(t), 2, 2)
	s.survives(0.2, func() { restart(s.apis) })
}

func TestAKilledConsumerLosesNothing(t *testing.T) {
	s := newShop(t, beside(t), 1, 2)
	s.survives(0.2, func() { restart(s.consumers) })
}

// restart kills each process and starts it again.
func restart(ps []*process) {
	for _, p := range ps {
		p.kill()
		p.start()
	}
}

func TestAMessageDeliveredTenTimesIsOneOrder(t *testing.T) {
	s := newShop(t, beside(t), 1, 2)
	sale := s.sale(saleTerms{stock: 100})
	p, os := s.publisher(), s.unsent(sale, "late-", 60)
	for _, o := range os {
		for range 10 {
			s.publish(p, o)
		}
	}
	c := s.crowd(sale, s.tokens(1, 100)) // and others buy what Redis has not heard of being sold
	c.buy(50)
	c.await(t, 60*time.Second)
	require.Eventually(t, func() bool {
		return c.count(t, `SELECT COUNT(*) FROM orders WHERE sale_id = ? AND id <= `+os[59].ID.String()+` AND status = 'confirmed'`) == 60
	}, 30*time.Second, 100*time.Millisecond, "each of the 60 is confirmed, once")
	require.Eventually(t, func() bool {
		r := s.audit(sale)
		return r.OK && r.Sales[0].Pending == 0 && r.Sales[0].LiveUnits == 100
	}, 60*time.Second, 500*time.Millisecond)
}

// TestAKilledServerLosesNothing kills a server in the middle of a sale and
// starts it again. TestWhoHearsTheOrderEventsKnowsWhatMySQLKnows kills the broker.
func TestAKilledServerLosesNothing(t *testing.T) {
	on := ownServers(t)
	for _, server := range []string{"redis", "mariadb", "namesrv"} {
		t.Run(server, func(t *testing.T) {
			s := newShop(t, maps.Clone(on.env), 2, 2)
			s.survives(0.2, func() {
				on.kill(t, server)
				time.Sleep(2 * time.Second)
				on.up(t)
			})
		})
	}
}

func TestWithTheBrokerAwayBuyingIsRefusedBeforeItDeductsAndPollingWorks(t *testing.T) {
	on := ownServers(t)
	s := newShop(t, maps.Clone(on.env), 1, 1)
	c := s.newSale(saleTerms{stock: 100}, 3)
	c.buyOne(0)
	c.await(t, 10*time.Second)

	on.kill(t, "broker")
	on.kill(t, "namesrv")
	time.Sleep(6 * time.Second)
	before := s.audit(c.sale).Sales[0]
	a, err := c.ask(1, "POST", "/v1/sales/"+c.sale+"/orders", `{}`)
	require.NoError(t, err)
	require.Equal(t, 503, a.status)
	require.Equal(t, "dependency-down", a.body.Code)
	require.NotEmpty(t, a.header.Get("Retry-After"))
	require.Equal(t, before, s.audit(c.sale).Sales[0], "nothing was deducted")
	require.True(t, c.ownOrders(0))
	c.await(t, 5*time.Second) // polls are answered

	on.up(t)
	start := time.Now()
	require.Eventually(t, func() bool {
		a, err := c.ask(1, "POST", "/v1/sales/"+c.sale+"/orders", `{}`)
		if err != nil || a.status != 202 {
			return false
		}
		c.addAccepted(a.body.ID, 1)
		return true
	}, 15*time.Second, 100*time.Millisecond, "buying works again within 15 s")
	t.Logf("buying works %s after the broker is back", time.Since(start))
	c.await(t, 15*time.Second)
	t.Logf("and is settled after %s", time.Since(start))
	c.proveInvariants(t, 100, 1)
}
