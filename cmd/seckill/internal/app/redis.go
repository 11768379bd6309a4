package app

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/redis/go-redis/v9"

	"seckill/cmd/seckill/internal/checkup"
	"seckill/internal/breaker"
	"seckill/internal/loop"
	"seckill/order"
	"seckill/stock"
)

// redisGuard guards Redis: with one breaker, or on a Cluster with one for each
// master, so that a node that is down refuses the sales on it and no others.
type redisGuard struct {
	cluster *redis.ClusterClient // nil: one server, or the one that Sentinel names
	// server guards that one server; on a Cluster what cannot be assigned to a node,
	// because no node has told yet who has which sale.
	server *breaker.Breaker
	open   func(name string, ping func(context.Context) error) *breaker.Breaker
	forget func(name string)

	mu    sync.RWMutex
	nodes map[string]*breaker.Breaker // by address
}

// newRedisGuard returns a guard with breakers of these options; their names begin
// with "redis".
func newRedisGuard(rdb redis.UniversalClient, w watch, o breaker.Options) *redisGuard {
	o.Failed = func(err error) bool { return !stock.AboutSale(err) }
	o.Ignored = redisBusy
	g := &redisGuard{
		open: func(name string, ping func(context.Context) error) *breaker.Breaker {
			o.Probe = ping
			return breaker.New(w.options(name, o))
		},
		forget: w.forget,
		nodes:  map[string]*breaker.Breaker{},
	}
	g.cluster, _ = rdb.(*redis.ClusterClient)
	g.server = g.open("redis", stock.New(rdb).Ping)
	return g
}

// redisBusy reports whether all connections of this process were in use, which tells
// nothing about Redis: each of them has a timeout that does. A flood of polls must
// not open the breaker.
func redisBusy(err error) bool { return errors.Is(err, redis.ErrPoolTimeout) }

// of returns the breaker of the server that has a sale. It asks no server, unless
// none of a Cluster has answered yet.
func (g *redisGuard) of(ctx context.Context, saleID int64) *breaker.Breaker {
	if g.cluster == nil {
		return g.server
	}
	c, err := g.cluster.MasterForKey(ctx, stock.SlotKey(saleID))
	if err != nil {
		return g.server
	}
	return g.node(c)
}

func (g *redisGuard) node(c *redis.Client) *breaker.Breaker {
	addr := c.Options().Addr
	g.mu.RLock()
	b := g.nodes[addr]
	g.mu.RUnlock()
	if b != nil {
		return b
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.nodes[addr] == nil {
		g.nodes[addr] = g.open("redis/"+addr, nil)
	}
	return g.nodes[addr]
}

// Do calls the server that has a sale, through its breaker.
func (g *redisGuard) Do(ctx context.Context, saleID int64, call func() error) error {
	return g.of(ctx, saleID).Do(call)
}

// Ready returns breaker.ErrOpen while the server that has a sale may not be called.
func (g *redisGuard) Ready(ctx context.Context, saleID int64) error { return g.of(ctx, saleID).Ready() }

// breakers returns all of them, sorted by name.
func (g *redisGuard) breakers() []*breaker.Breaker {
	g.mu.RLock()
	defer g.mu.RUnlock()
	all := append([]*breaker.Breaker{g.server}, slices.Collect(maps.Values(g.nodes))...)
	slices.SortFunc(all, func(a, b *breaker.Breaker) int { return cmp.Compare(a.Name(), b.Name()) })
	return all
}

const (
	probeEvery   = time.Second
	probeTimeout = 2 * time.Second
)

// run probes every server once a second until ctx is done.
func (g *redisGuard) run(ctx context.Context) error {
	if g.cluster == nil {
		return g.server.Run(ctx)
	}
	t := time.NewTicker(probeEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			g.probe(ctx)
		}
	}
}

// probe calls every master, all at once, and forgets the nodes that are none any
// more.
func (g *redisGuard) probe(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var mu sync.Mutex
	masters := map[string]bool{}
	err := g.cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		mu.Lock()
		masters[c.Options().Addr] = true
		mu.Unlock()
		_ = g.node(c).Do(func() error { return c.Ping(ctx).Err() }) // the breaker counts and logs it
		return nil
	})
	_ = g.server.Do(func() error { return err })
	if err != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for addr, b := range g.nodes {
		if !masters[addr] {
			delete(g.nodes, addr)
			g.forget(b.Name())
		}
	}
}

// guardedLedger calls Redis through its breakers for shoppers and for the pool:
// while a server does not respond, nobody waits for it.
type guardedLedger struct {
	*stock.Ledger
	guard *redisGuard
}

func (g guardedLedger) Entry(ctx context.Context, saleID int64, shopper string, id order.ID) (e stock.Entry, ok bool, err error) {
	err = g.guard.Do(ctx, saleID, func() error { e, ok, err = g.Ledger.Entry(ctx, saleID, shopper, id); return err })
	return e, ok, err
}

func (g guardedLedger) Entries(ctx context.Context, saleID int64, shopper string) (es []stock.Entry, err error) {
	err = g.guard.Do(ctx, saleID, func() error { es, err = g.Ledger.Entries(ctx, saleID, shopper); return err })
	return es, err
}

func (g guardedLedger) Apply(ctx context.Context, cs []order.Change) error {
	return each(ctx, g.guard, cs, func(c order.Change) int64 { return c.SaleID }, g.Ledger.Apply)
}

func (g guardedLedger) Replay(ctx context.Context, vs []order.Verdict) error {
	return each(ctx, g.guard, vs, func(v order.Verdict) int64 { return v.SaleID }, g.Ledger.Replay)
}

// each makes a call for the sales of each server, in the order of items. Those of
// one server do not wait for another.
func each[T any](ctx context.Context, g *redisGuard, items []T, sale func(T) int64, call func(context.Context, []T) error) error {
	parts := map[*breaker.Breaker][]T{}
	for _, it := range items {
		b := g.of(ctx, sale(it))
		parts[b] = append(parts[b], it)
	}
	errs := make(chan error, len(parts))
	for b, part := range parts {
		go func() { errs <- b.Do(func() error { return call(ctx, part) }) }()
	}
	var all []error
	for range parts {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

// partialLedger reads many sales without those on nodes of a Cluster that do not
// respond, which would delay the others.
type partialLedger struct {
	*stock.Ledger
	guard *redisGuard
}

// Metas is as in stock, with breaker.ErrOpen for the sales on such nodes.
func (p partialLedger) Metas(ctx context.Context, saleIDs []int64) ([]stock.Meta, error) {
	if p.guard.cluster == nil {
		return p.Ledger.Metas(ctx, saleIDs)
	}
	all := make([]stock.Meta, len(saleIDs))
	var asked []int64
	var at []int
	var failed error
	for i, id := range saleIDs {
		if err := p.guard.Ready(ctx, id); err != nil {
			all[i].Err, failed = err, err
			continue
		}
		asked, at = append(asked, id), append(at, i)
	}
	ms, err := p.Ledger.Metas(ctx, asked)
	for i, m := range ms {
		all[at[i]] = m
	}
	return all, cmp.Or(err, failed)
}

// eviction watches whether Redis may evict keys, and how much memory it has left.
// The setting is the same for all processes, so a process that finds it wrong
// reports that and goes on selling.
type eviction struct {
	rdb       redis.UniversalClient
	log       *slog.Logger
	last      atomic.Pointer[string]
	may       prometheus.Gauge
	used, max prometheus.Gauge
}

func newEviction(rdb redis.UniversalClient, reg prometheus.Registerer, log *slog.Logger) *eviction {
	f := promauto.With(reg)
	gauge := func(name, help string) prometheus.Gauge {
		return f.NewGauge(prometheus.GaugeOpts{Name: "seckill_redis_" + name, Help: help})
	}
	return &eviction{
		rdb: rdb, log: log,
		may:  gauge("may_evict", "1 if Redis has a maxmemory-policy other than noeviction."),
		used: gauge("memory_used_bytes", "Memory that Redis uses; on a Cluster, that of one node."),
		max:  gauge("memory_max_bytes", "Memory limit of Redis (maxmemory); 0 means no limit."),
	}
}

const evictionEvery = 15 * time.Second

// line describes the last result, for people.
func (e *eviction) line() string {
	if last := e.last.Load(); last != nil {
		return "redis eviction: " + *last
	}
	return "redis eviction: not known yet"
}

// run checks at once and then every 15 s, until ctx is done.
func (e *eviction) run(ctx context.Context) error {
	for {
		e.check(ctx)
		if loop.Pause(ctx, evictionEvery) != nil {
			return nil //nolint:nilerr // the end of ctx is no failure
		}
	}
}

func (e *eviction) check(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	info, err := e.rdb.Info(ctx, "memory").Result()
	policy := infoField(info, "maxmemory_policy")
	if err != nil || policy == "" {
		return // the last result stands; the breaker reports that Redis is down
	}
	for g, field := range map[prometheus.Gauge]string{e.used: "used_memory", e.max: "maxmemory"} {
		if n, err := strconv.ParseFloat(infoField(info, field), 64); err == nil {
			g.Set(n)
		}
	}
	found := "ok"
	e.may.Set(0)
	if policy != "noeviction" {
		e.may.Set(1)
		found = "WARNING: maxmemory-policy is \"" + policy + "\"; " + checkup.EvictionAdvice
	}
	if before := e.last.Swap(&found); found != "ok" && (before == nil || *before != found) {
		e.log.WarnContext(ctx, "redis may evict sales", "found", found)
	}
}

func infoField(info, field string) string {
	for line := range strings.SplitSeq(info, "\r\n") {
		if v, ok := strings.CutPrefix(line, field+":"); ok {
			return v
		}
	}
	return ""
}
