package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"seckill/internal/breaker"
	"seckill/internal/config"
	"seckill/internal/testenv"
	"seckill/order"
	"seckill/stock"
)

// clustered is a guard on a Redis Cluster of two nodes, with two sales on the first
// and one on the second.
type clustered struct {
	nodes        []testenv.RedisNode
	ledger       *stock.Ledger
	guard        *redisGuard
	metrics      *prometheus.Registry
	collector    *stock.Collector
	ids          *order.IDMaker
	here, beside int64 // on the first node
	there        int64 // on the second
}

func onCluster(t *testing.T) *clustered {
	t.Helper()
	c := &clustered{nodes: testenv.RedisCluster(t, 2), metrics: prometheus.NewRegistry(), ids: order.NewIDMaker(1)}
	rdb, err := openRedis(config.Redis{Addrs: []string{c.nodes[0].Addr, c.nodes[1].Addr}, Cluster: true, PoolSize: 8})
	require.NoError(t, err)
	t.Cleanup(func() { _ = rdb.Close() })
	c.ledger = stock.New(rdb)
	c.guard = newRedisGuard(rdb, newWatch(c.metrics), breaker.Options{Log: slog.New(slog.DiscardHandler)})
	c.collector = stock.NewCollector(c.ledger, stock.CollectorOptions{Guard: c.guard.Do})
	t.Cleanup(c.collector.Close)
	testenv.Start(t, c.guard.run)
	for id := int64(1); c.here == 0 || c.beside == 0 || c.there == 0; id++ {
		slot, err := c.nodes[0].ClusterKeySlot(t.Context(), stock.SlotKey(id)).Result()
		require.NoError(t, err)
		switch {
		case slot > 8191:
			c.there = id
		case c.here == 0:
			c.here = id
		default:
			c.beside = id
		}
	}
	now := time.Now()
	for _, id := range []int64{c.here, c.beside, c.there} {
		sale := order.Sale{ID: id, Total: 10_000, Available: 10_000, OrdersPerShopper: 1, UnitsPerOrder: 1, State: order.SaleOpen, StartsAt: now.Add(-time.Hour), EndsAt: now.Add(time.Hour)}
		load, err := c.ledger.Begin(t.Context(), sale)
		require.NoError(t, err)
		require.NoError(t, load.Finish(t.Context(), sale))
	}
	return c
}

func (c *clustered) buy(t *testing.T, saleID int64) error {
	t.Helper()
	id, err := c.ids.Next()
	require.NoError(t, err)
	r, err := c.collector.Reserve(t.Context(), stock.Purchases(order.Order{ID: id, SaleID: saleID, ShopperID: id.String(), Quantity: 1})[0])
	return errors.Join(err, r.Err)
}

// states returns the exported state of each breaker by name.
func (c *clustered) states(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := c.metrics.Gather()
	require.NoError(t, err)
	states := map[string]float64{}
	for _, f := range families {
		if f.GetName() == "seckill_breaker_state" {
			for _, m := range f.GetMetric() {
				states[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
			}
		}
	}
	return states
}

// state returns that of a node.
func (c *clustered) state(t *testing.T, node int) float64 {
	t.Helper()
	return c.states(t)["redis/"+c.nodes[node].Addr]
}

func TestANodeOfAClusterThatHangsRefusesItsSalesAndNoOthers(t *testing.T) {
	t.Parallel()
	c := onCluster(t)
	for _, id := range []int64{c.here, c.beside, c.there} {
		require.NoError(t, c.buy(t, id))
	}
	require.NoError(t, c.nodes[1].Process.Signal(syscall.SIGSTOP))
	cont := func() { _ = c.nodes[1].Process.Signal(syscall.SIGCONT) }
	t.Cleanup(cont)
	require.Eventually(t, func() bool {
		require.NoError(t, c.guard.Ready(t.Context(), c.here))
		require.NoError(t, c.buy(t, c.here))
		return c.guard.Ready(t.Context(), c.there) != nil
	}, 15*time.Second, 50*time.Millisecond, "a node that hangs is noticed")
	require.NotZero(t, c.state(t, 1))
	require.ErrorIs(t, c.buy(t, c.there), stock.ErrUnavailable)
	began := time.Now()
	ms, err := partialLedger{c.ledger, c.guard}.Metas(t.Context(), []int64{c.there, c.here})
	require.ErrorIs(t, err, breaker.ErrOpen)
	require.ErrorIs(t, ms[0].Err, breaker.ErrOpen)
	require.NoError(t, ms[1].Err)
	require.True(t, ms[1].Loaded)
	err = guardedLedger{c.ledger, c.guard}.Apply(t.Context(), []order.Change{{SaleID: c.there, Seq: 1}, {SaleID: c.here, Seq: 1}})
	require.ErrorIs(t, err, breaker.ErrOpen)
	require.Less(t, time.Since(began), time.Second, "nobody waits for the node")
	ms, err = c.ledger.Metas(t.Context(), []int64{c.here})
	require.NoError(t, err)
	require.EqualValues(t, 1, ms[0].Applied, "the other sale has its results")
	cont()
	require.Eventually(t, func() bool { return c.buy(t, c.there) == nil }, 15*time.Second, 50*time.Millisecond)
	require.Eventually(t, func() bool { return c.state(t, 1) == 0 }, 15*time.Second, 50*time.Millisecond)
	require.Zero(t, c.state(t, 0))
	require.NoError(t, c.guard.server.Ready())
}

// A slot is on its way to the other node, with one key of two: Redis says TRYAGAIN.
func TestASlotOnItsWayToAnotherNodeFailsItsSaleAndNoOthers(t *testing.T) {
	t.Parallel()
	c := onCluster(t)
	require.NoError(t, c.buy(t, c.here))
	slot, err := c.nodes[0].ClusterKeySlot(t.Context(), stock.SlotKey(c.here)).Result()
	require.NoError(t, err)
	from, to := c.nodes[0], c.nodes[1]
	require.NoError(t, to.Do(t.Context(), "cluster", "setslot", slot, "importing", from.ID).Err())
	require.NoError(t, from.Do(t.Context(), "cluster", "setslot", slot, "migrating", to.ID).Err())
	keys, err := from.ClusterGetKeysInSlot(t.Context(), int(slot), 10).Result()
	require.NoError(t, err)
	require.Greater(t, len(keys), 1)
	move := func(key string) {
		host, port, err := net.SplitHostPort(to.Addr)
		require.NoError(t, err)
		require.NoError(t, from.Migrate(t.Context(), host, port, key, 0, time.Second).Err())
	}
	move(keys[0])
	for range 20 {
		err := c.buy(t, c.here)
		require.ErrorContains(t, err, "TRYAGAIN")
		require.NoError(t, c.buy(t, c.beside))
		require.NoError(t, c.buy(t, c.there))
	}
	require.Zero(t, c.state(t, 0))
	for _, key := range keys[1:] {
		move(key)
	}
	for _, n := range c.nodes {
		require.NoError(t, n.Do(t.Context(), "cluster", "setslot", slot, "node", to.ID).Err())
	}
	require.NoError(t, c.buy(t, c.here))
}

func TestABreakerOfANodeThatLeftTheClusterIsForgotten(t *testing.T) {
	t.Parallel()
	c := onCluster(t)
	require.Eventually(t, func() bool { return len(c.guard.breakers()) == 3 }, 10*time.Second, 10*time.Millisecond)
	gone := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	t.Cleanup(func() { _ = gone.Close() })
	c.guard.node(gone)
	require.Len(t, c.states(t), 4)
	require.Eventually(t, func() bool { return len(c.guard.breakers()) == 3 && len(c.states(t)) == 3 }, 10*time.Second, 10*time.Millisecond)
}

func TestWhatMySQLSaysOfRowsOpensNoBreaker(t *testing.T) {
	t.Parallel()
	for number, fault := range map[uint16]bool{1205: false, 1213: false, 1062: false, 1406: false, 1040: true, 1290: true, 1053: true} {
		require.Equal(t, fault, mysqlFault(fmt.Errorf("settle: %w", &mysql.MySQLError{Number: number})), number)
	}
	require.True(t, mysqlFault(context.DeadlineExceeded))
	require.False(t, mysqlFault(order.ErrNotFound))
}
