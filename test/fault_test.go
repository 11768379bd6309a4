//go:build e2e

package test

import (
	"log/slog"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
	"seckill/queue/rocketmq"
)

// underLoad buys with a crowd that comes at a steady pace, and calls fault when a
// part of it has its answer. It returns when every shopper has.
func underLoad(c *crowd, part float64, fault func()) {
	bought := make(chan struct{})
	go func() { c.come(pace); close(bought) }()
	for c.answered.Load() < int64(part*float64(len(c.tokens))) {
		select {
		case <-bought: // too fast for the fault: the test asks for more shoppers
			c.shop.t.Fatal("the crowd was through before the fault")
		case <-time.After(time.Millisecond):
		}
	}
	fault()
	<-bought
}

// pace is between two shoppers of a crowd under which something goes wrong.
const pace = 2 * time.Millisecond

// prove waits for every result and checks the promises.
func (c *crowd) prove(t *testing.T, stock int) {
	t.Helper()
	require.Zero(t, c.refused["no answer"], "every shopper gets an answer: %v", c.refused)
	c.await(t, 60*time.Second)
	c.proveInvariants(t, stock, 1)
}

func TestATerminatedRoleLosesNothingUnderLoad(t *testing.T) {
	s := newShop(t, beside(t), 2, 2)
	sale := s.sale(saleTerms{stock: 2400})
	c := s.crowd(sale, s.tokens(1, 3000))
	underLoad(c, 0.1, func() {
		for _, p := range []*process{s.apis[0], s.consumers[0]} {
			p.terminate(20 * time.Second)
			p.start()
		}
	})
	c.prove(t, 2400)
	require.Len(t, c.final, 2400, "stock was enough for 2,400 of them")
}

func TestAKilledAPILosesNothing(t *testing.T) {
	s := newShop(t, beside(t), 2, 2)
	sale := s.sale(saleTerms{stock: 2400})
	c := s.crowd(sale, s.tokens(1, 3000))
	underLoad(c, 0.2, func() {
		s.apis[0].kill()
		s.apis[0].start()
		s.apis[1].kill()
		s.apis[1].start()
	})
	c.prove(t, 2400)
}

func TestAKilledConsumerLosesNothing(t *testing.T) {
	s := newShop(t, beside(t), 1, 2)
	sale := s.sale(saleTerms{stock: 2400})
	c := s.crowd(sale, s.tokens(1, 3000))
	underLoad(c, 0.2, func() {
		for _, p := range s.consumers {
			p.kill()
			p.start()
		}
	})
	c.prove(t, 2400)
}

func TestAMessageDeliveredTenTimesIsOneOrder(t *testing.T) {
	env := beside(t)
	s := newShop(t, env, 1, 2)
	sale := s.sale(saleTerms{stock: 100})
	saleID, err := strconv.ParseInt(sale, 10, 64)
	require.NoError(t, err)
	topic := settingOf(t, s.env, "SECKILL_ROCKETMQ_TOPIC")
	p, err := rocketmq.NewPublisher(rocketmq.Options{
		NameServers: strings.Split(env["SECKILL_ROCKETMQ_NAMESERVERS"], ","), Topic: topic, ProbeTopic: topic + "_probe", Group: topic,
		Log: slog.New(slog.DiscardHandler),
	}, rocketmq.PublisherOptions{})
	require.NoError(t, err)
	defer p.Close(t.Context())
	ids := order.NewIDMaker(8000)
	sent := 0
	var last order.ID
	for i := range 60 {
		id, err := ids.Next()
		require.NoError(t, err)
		last = id
		o := order.Order{ID: id, SaleID: saleID, ShopperID: "late-" + strconv.Itoa(i), Quantity: 1}
		for range 10 {
			require.Eventually(t, func() bool { return p.Publish(t.Context(), o) == nil }, 20*time.Second, 100*time.Millisecond)
			sent++
		}
	}
	require.Equal(t, 600, sent)
	c := s.crowd(sale, s.tokens(1, 100)) // and others buy what Redis has not heard of being sold
	c.buy(50)
	c.await(t, 60*time.Second)
	require.Eventually(t, func() bool {
		return c.count(t, `SELECT COUNT(*) FROM orders WHERE sale_id = ? AND id <= `+last.String()+` AND status = 'confirmed'`) == 60
	}, 30*time.Second, 100*time.Millisecond, "each of the 60 is confirmed, once")
	require.Eventually(t, func() bool {
		r := s.audit(sale)
		return r.OK && r.Sales[0].Pending == 0 && r.Sales[0].LiveUnits == 100
	}, 60*time.Second, 500*time.Millisecond)
}

func settingOf(t *testing.T, env []string, name string) string {
	t.Helper()
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	t.Fatalf("%s is not set", name)
	return ""
}

// TestAKilledServerLosesNothing kills a server in the middle of a sale and
// starts it again. TestWhoHearsTheOrderEventsKnowsWhatMySQLKnows kills the broker.
func TestAKilledServerLosesNothing(t *testing.T) {
	on := ownServers(t)
	for _, server := range []string{"redis", "mariadb", "namesrv"} {
		t.Run(server, func(t *testing.T) {
			s := newShop(t, maps.Clone(on.env), 2, 2)
			sale := s.sale(saleTerms{stock: 2400})
			c := s.crowd(sale, s.tokens(1, 3000))
			underLoad(c, 0.2, func() {
				on.kill(t, server)
				time.Sleep(2 * time.Second)
				on.up(t)
			})
			c.prove(t, 2400)
		})
	}
}

func TestWithTheBrokerAwayBuyingIsRefusedBeforeItDeductsAndPollingWorks(t *testing.T) {
	on := ownServers(t)
	s := newShop(t, maps.Clone(on.env), 1, 1)
	sale := s.sale(saleTerms{stock: 100})
	c := s.crowd(sale, s.tokens(1, 3))
	c.buyOne(0)
	c.await(t, 10*time.Second)

	on.kill(t, "broker")
	on.kill(t, "namesrv")
	time.Sleep(6 * time.Second)
	before := s.audit(sale).Sales[0]
	a, err := c.ask(1, "POST", "/v1/sales/"+sale+"/orders", `{}`)
	require.NoError(t, err)
	require.Equal(t, 503, a.status)
	require.Equal(t, "dependency-down", a.body.Code)
	require.NotEmpty(t, a.header.Get("Retry-After"))
	require.Equal(t, before, s.audit(sale).Sales[0], "nothing was deducted")
	require.True(t, c.ownOrders(0))
	c.await(t, 5*time.Second) // polls are answered

	on.up(t)
	start := time.Now()
	require.Eventually(t, func() bool {
		a, err := c.ask(1, "POST", "/v1/sales/"+sale+"/orders", `{}`)
		if err != nil || a.status != 202 {
			return false
		}
		c.tell(a.body.ID, 1)
		return true
	}, 40*time.Second, 100*time.Millisecond, "buying works again within 40 s")
	t.Logf("buying works %s after the broker is back", time.Since(start))
	c.await(t, 40*time.Second)
	t.Logf("and is settled after %s", time.Since(start))
	c.proveInvariants(t, 100, 1)
}
