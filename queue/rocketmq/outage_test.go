//go:build e2e

package rocketmq_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/breaker"
	"seckill/queue/queuetest"
	"seckill/queue/rocketmq"
)

// seller publishes an order every 10 ms through a breaker, as the API does,
// and remembers what came of each.
type seller struct {
	p       *rocketmq.Publisher
	breaker *breaker.Breaker
	mu      sync.Mutex
	stored  []int64
	unknown int
	refused atomic.Int64
}

func sell(t *testing.T, o rocketmq.Options) *seller {
	t.Helper()
	s := new(seller)
	s.breaker = breaker.New(breaker.Options{
		Name: "rocketmq", Probe: func(ctx context.Context) error { return s.p.Probe(ctx) }, Log: slog.New(slog.DiscardHandler),
	})
	s.p = publisher(t, o, rocketmq.PublisherOptions{Guard: s.breaker.Do})
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.breaker.Run(t.Context()) })
	wg.Go(func() { s.run(t) })
	t.Cleanup(wg.Wait)
	return s
}

func (s *seller) run(t *testing.T) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for id := int64(1); t.Context().Err() == nil; id++ {
		<-tick.C
		if s.breaker.Ready() != nil {
			s.refused.Add(1)
			continue
		}
		err := s.p.Publish(t.Context(), queuetest.Order(id))
		s.mu.Lock()
		switch {
		case err == nil:
			s.stored = append(s.stored, id)
		case errors.Is(err, rocketmq.ErrUnknown):
			s.unknown++
		}
		s.mu.Unlock()
	}
}

func (s *seller) sold() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.stored)
}

// after measures how long it takes until ok.
func after(t *testing.T, limit time.Duration, ok func() bool, msg string) time.Duration {
	t.Helper()
	start := time.Now()
	require.Eventually(t, ok, limit, 5*time.Millisecond, msg)
	return time.Since(start).Round(10 * time.Millisecond)
}

func TestSellingOutlivesTheBrokerAndTheNameServer(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills a broker of its own")
	}
	c := newCluster(t)
	o := options(t, c.servers())
	seller, consumer := sell(t, o), count(t, o) // nobody is there yet
	require.Eventually(t, func() bool { return seller.refused.Load() > 0 }, 10*time.Second, 10*time.Millisecond, "the breaker stays closed")

	restart := func(what string) {
		c.startNameServer()
		c.startBroker()
		c.up()
		admin, err := rocketmq.NewAdmin(o)
		require.NoError(t, err)
		defer admin.Close()
		require.NoError(t, admin.EnsureTopics(t.Context(), 8))
		before, seen := seller.sold(), consumer.len()
		selling := after(t, 15*time.Second, func() bool { return seller.sold() > before }, "not selling")
		consuming := after(t, 15*time.Second, func() bool { return consumer.len() > seen+10 }, "not consuming")
		t.Logf("%s: selling after %v, consuming %v later", what, selling, consuming)
	}
	restart("started late")
	c.kill("broker")
	c.kill("namesrv")
	time.Sleep(3 * time.Second)
	restart("both killed and started again")
	require.Eventually(t, func() bool {
		seller.mu.Lock()
		defer seller.mu.Unlock()
		return consumer.has(seller.stored...)
	}, 15*time.Second, 50*time.Millisecond, "an order that was stored is lost")
	t.Logf("stored %d, unknown %d, rebuilt %d", seller.sold(), seller.unknown, consumer.rebuilt.Load())
}
