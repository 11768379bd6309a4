package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"seckill/internal/breaker"
	"seckill/internal/config"
	"seckill/internal/testenv"
	"seckill/order/memory"
	"seckill/stock"
)

func TestAnAPIThatStopsIsNotReadyWhileItStillAnswers(t *testing.T) {
	t.Parallel()
	cfg, err := DevConfig()
	require.NoError(t, err)
	cfg.API.StopDelay, cfg.Listen = time.Second, "127.0.0.1:0"
	cfg.Redis.Addrs = []string{miniredis.RunT(t).Addr()}
	rdb, err := openRedis(cfg.Redis)
	require.NoError(t, err)
	b := &backend{redis: rdb, store: memory.NewStore(), queue: newMemoryQueue()}
	api, err := newAPIRole(cfg, b, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	addr := make(chan net.Addr, 1)
	api.up = func(a net.Addr) { addr <- a }
	stop := testenv.Start(t, api.run)
	url := "http://" + (<-addr).String() + "/v1/time"
	require.Eventually(t, func() bool { return api.ready() == nil }, 10*time.Second, 10*time.Millisecond)

	rec := httptest.NewRecorder()
	adminHandler("127.0.0.1:0", prometheus.NewRegistry(), api, nil).
		ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz?verbose", http.NoBody))
	require.Equal(t, http.StatusOK, rec.Code)
	require.Contains(t, rec.Body.String(), "redis: ok\n")
	require.Contains(t, rec.Body.String(), "backlog: 0 of ")

	go stop()
	require.Eventually(t, func() bool { return api.ready() != nil }, 500*time.Millisecond, 5*time.Millisecond)
	status, _, _ := testenv.Send(t, http.MethodGet, url, "")
	require.Equal(t, http.StatusOK, status, "load balancers may not have looked yet")
	stop()
}

// lateQueue is a queue whose broker does not respond yet.
type lateQueue struct {
	memoryQueue

	there atomic.Bool
}

func (q *lateQueue) publisher(o publisherOptions) (publisher, error) {
	p, err := q.memoryQueue.publisher(o)
	return latePublisher{p, q}, err
}

type latePublisher struct {
	publisher

	queue *lateQueue
}

func (p latePublisher) Probe(ctx context.Context) error {
	if !p.queue.there.Load() {
		return errors.New("not up")
	}
	return p.publisher.Probe(ctx)
}

func TestAnAPIThatHasNotReachedTheQueueDeductsNothing(t *testing.T) {
	t.Parallel()
	cfg, err := DevConfig()
	require.NoError(t, err)
	cfg.Redis.Addrs = []string{miniredis.RunT(t).Addr()}
	rdb, err := openRedis(cfg.Redis)
	require.NoError(t, err)
	queue := &lateQueue{memoryQueue: newMemoryQueue()}
	api, err := newAPIRole(cfg, &backend{redis: rdb, store: memory.NewStore(), queue: queue}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	g, _ := api.work(ctx)
	require.Eventually(t, api.catalog.Ready, 10*time.Second, 10*time.Millisecond)
	require.ErrorIs(t, api.ready(), errNotReached)
	require.ErrorIs(t, api.gate(t.Context(), 1), errNotReached)

	api.started = api.started.Add(-reachWithin) // long enough to be ready for polls
	require.Eventually(t, func() bool { return api.ready() == nil }, 10*time.Second, 10*time.Millisecond)
	require.ErrorIs(t, api.gate(t.Context(), 1), errNotReached)
	queue.there.Store(true)
	require.Eventually(t, func() bool { return api.gate(t.Context(), 1) == nil }, 10*time.Second, 10*time.Millisecond)
	stop()
	require.NoError(t, ignoreCanceled(g.Wait()))
}

// nodeIDCounter is MySQL's counter of node IDs.
type nodeIDCounter struct{ n atomic.Int64 }

func (c *nodeIDCounter) NextNodeID(context.Context) (int64, error) { return c.n.Add(1), nil }
func (c *nodeIDCounter) LastNodeID(context.Context) (int64, error) { return c.n.Load(), nil }

func TestAnIDSourceReplacesAUsedUpNodeID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &nodeIDCounter{}
		ids := newIDSource(c, slog.New(slog.DiscardHandler))
		require.Error(t, ids.ready())
		stop := testenv.Start(t, ids.run)
		time.Sleep(time.Second)
		require.NoError(t, ids.ready())
		before, err := ids.Next()
		require.NoError(t, err)

		c.n.Add(8_100) // other processes took node IDs
		time.Sleep(11 * time.Second)
		after, err := ids.Next()
		require.NoError(t, err, "shoppers can still buy")
		require.Equal(t, int64(8102), ids.maker.Load().NodeID())
		require.Greater(t, after, before)
		stop()
	})
}

func TestAPoolOfConnectionsInUseIsNoFaultOfRedis(t *testing.T) {
	t.Parallel()
	cfg := config.Redis{Addrs: []string{miniredis.RunT(t).Addr()}, PoolSize: 4}
	rdb, err := openRedis(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = rdb.Close() })
	client, ok := rdb.(*redis.Client)
	require.True(t, ok)
	for range cfg.PoolSize { // all connections are in use by polls that wait for a slow Redis
		c := client.Conn()
		require.NoError(t, c.Ping(t.Context()).Err())
		t.Cleanup(func() { _ = c.Close() })
	}
	guard := newRedisGuard(rdb, newWatch(prometheus.NewRegistry()), breaker.Options{Log: slog.New(slog.DiscardHandler)})
	ledger := stock.New(rdb)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			_, err := guardedLedger{ledger, guard}.Entries(t.Context(), 1, "42")
			require.ErrorIs(t, err, redis.ErrPoolTimeout)
		})
	}
	wg.Wait()
	require.NoError(t, guard.Ready(t.Context(), 1), "shoppers can still buy")
}
