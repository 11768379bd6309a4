package app

import (
	"database/sql"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/redis/go-redis/v9"

	"seckill/catalog"
	"seckill/internal/breaker"
)

// registerProcess registers what every process exports: build, Go runtime,
// process.
func registerProcess(reg prometheus.Registerer) {
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	v := ThisBuild()
	promauto.With(reg).NewGaugeVec(prometheus.GaugeOpts{Name: "seckill_build_info", Help: "1, with the build's version."}, []string{"version", "commit", "go"}).
		WithLabelValues(v.Version, v.Commit, v.Go).Set(1)
}

// rpcSeconds are the buckets of response times of servers.
var rpcSeconds = prometheus.ExponentialBuckets(.00025, 2, 14)

// watch exports the state of breakers and the calls through them.
type watch struct {
	state *prometheus.GaugeVec
	took  *prometheus.HistogramVec
}

func newWatch(reg prometheus.Registerer) watch {
	f := promauto.With(reg)
	return watch{
		state: f.NewGaugeVec(prometheus.GaugeOpts{Name: "seckill_breaker_state", Help: "0 closed, 1 half-open, 2 open. On a Redis Cluster each master has a breaker, redis/ and its address."}, []string{"name"}),
		took:  f.NewHistogramVec(prometheus.HistogramOpts{Name: "seckill_dependency_duration_seconds", Help: "Time of one call through a breaker, by server and result, ok or error; includes a probe per second.", Buckets: rpcSeconds}, []string{"name", "result"}),
	}
}

// breakerStates are the values of seckill_breaker_state.
var breakerStates = map[string]float64{"closed": 0, "half-open": 1, "open": 2}

// options makes the breaker with these options export its state under a name, and
// its calls under the server's, which is the name up to a slash.
func (w watch) options(name string, o breaker.Options) breaker.Options {
	server, _, _ := strings.Cut(name, "/")
	g, ok, failure := w.state.WithLabelValues(name), w.took.WithLabelValues(server, "ok"), w.took.WithLabelValues(server, "error")
	o.Name = name
	o.OnChange = func(_, to string) { g.Set(breakerStates[to]) }
	o.Observe = func(took time.Duration, failed bool) {
		if failed {
			failure.Observe(took.Seconds())
		} else {
			ok.Observe(took.Seconds())
		}
	}
	return o
}

// forget ends the state of a breaker that is no longer used.
func (w watch) forget(name string) { w.state.DeleteLabelValues(name) }

// expiredCounter returns a function to call with the number of unpaid orders
// cancelled.
func expiredCounter(reg prometheus.Registerer) func(orders int) {
	c := promauto.With(reg).NewCounter(prometheus.CounterOpts{Name: "seckill_orders_expired_total", Help: "Orders cancelled because they were not paid in time."})
	return func(orders int) { c.Add(float64(orders)) }
}

// batches exports the size of batches, and their duration by result.
type batches struct {
	size prometheus.Observer
	took *prometheus.HistogramVec
}

// newBatches exports the named results from the start; another result gets its
// series when it occurs.
func newBatches(reg prometheus.Registerer, what, help string, results ...string) batches {
	f := promauto.With(reg)
	b := batches{
		took: f.NewHistogramVec(prometheus.HistogramOpts{Name: "seckill_" + what + "_duration_seconds", Help: "Time of " + help + ", including retries.", Buckets: rpcSeconds}, []string{"result"}),
		size: f.NewHistogram(prometheus.HistogramOpts{Name: "seckill_" + what + "_batch_size", Help: "Orders in " + help + ".", Buckets: prometheus.ExponentialBuckets(1, 2, 8)}),
	}
	for _, r := range results {
		b.took.WithLabelValues(r)
	}
	return b
}

func (b batches) observe(result string, orders int, took time.Duration) {
	b.size.Observe(float64(orders))
	b.took.WithLabelValues(result).Observe(took.Seconds())
}

// publishMetrics returns a function to call after each batch sent.
func publishMetrics(reg prometheus.Registerer) func(outcome string, batch int, took time.Duration) {
	return newBatches(reg, "publish", "one send to RocketMQ", "stored", "not_stored", "unknown").observe
}

// reserveMetrics returns a function to call after each batch reserved.
func reserveMetrics(reg prometheus.Registerer) func(batch int, took time.Duration, err error) {
	b := newBatches(reg, "reserve", "one reservation call to Redis", "ok", "error")
	return func(batch int, took time.Duration, err error) {
		result := "ok"
		if err != nil {
			result = "error"
		}
		b.observe(result, batch, took)
	}
}

// registerBacklog exports the number of orders in the queue and its limit.
func registerBacklog(reg prometheus.Registerer, b *backlog) {
	f := promauto.With(reg)
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "seckill_backlog_orders", Help: "Orders waiting in the queue, by RocketMQ's last answer; at most a second old while it answers."},
		func() float64 { return float64(b.lag.Load()) })
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "seckill_backlog_limit_orders", Help: "Waiting orders above which purchases are refused."},
		func() float64 { return float64(b.limit.Load()) })
}

// registerPools registers the connection pools of the servers.
func registerPools(reg prometheus.Registerer, db *sql.DB, rdb redis.UniversalClient, redisConns int) {
	reg.MustRegister(collectors.NewDBStatsCollector(db, "seckill"))
	f := promauto.With(reg)
	gauge := func(name, help string, value func(*redis.PoolStats) uint32) {
		f.NewGaugeFunc(prometheus.GaugeOpts{Name: "seckill_redis_pool_" + name, Help: help}, func() float64 { return float64(value(rdb.PoolStats())) })
	}
	count := func(name, help string, value func(*redis.PoolStats) float64) {
		f.NewCounterFunc(prometheus.CounterOpts{Name: "seckill_redis_pool_" + name, Help: help}, func() float64 { return value(rdb.PoolStats()) })
	}
	gauge("connections", "Connections to Redis.", func(s *redis.PoolStats) uint32 { return s.TotalConns })
	gauge("idle_connections", "Idle connections to Redis.", func(s *redis.PoolStats) uint32 { return s.IdleConns })
	gauge("max_connections", "Maximum connections to Redis; on a Cluster, to each node.", func(*redis.PoolStats) uint32 { return uint32(redisConns) })
	count("waits_total", "Calls that waited for a connection to Redis.", func(s *redis.PoolStats) float64 { return float64(s.WaitCount) })
	count("wait_seconds_total", "Time that calls waited for a connection to Redis.", func(s *redis.PoolStats) float64 { return float64(s.WaitDurationNs) / 1e9 })
	count("timeouts_total", "Waits for a connection to Redis that timed out.", func(s *redis.PoolStats) float64 { return float64(s.Timeouts) })
}

// saleMetrics exports the local copy of each loaded sale: it is at most a second
// old, and a scrape calls no store. A sale that is not loaded has no series.
type saleMetrics struct {
	sales                                      func() []*catalog.Snapshot
	total, available, pending, settled, oldest *prometheus.Desc
}

func newSaleMetrics(sales func() []*catalog.Snapshot) *saleMetrics {
	of := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("seckill_"+name, help, []string{"sale"}, nil)
	}
	return &saleMetrics{
		sales:     sales,
		total:     of("stock_total_units", "Units of each sale in Redis; always available + pending + settled."),
		available: of("stock_available_units", "Units that can be reserved."),
		pending:   of("stock_pending_units", "Units reserved without a result."),
		settled:   of("stock_settled_units", "Units of confirmed and paid orders."),
		oldest:    of("order_oldest_pending_seconds", "Age of the order that the sweeper is to settle next; 0 when nothing is pending."),
	}
}

// Describe implements prometheus.Collector.
func (m *saleMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.total, m.available, m.pending, m.settled, m.oldest} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *saleMetrics) Collect(ch chan<- prometheus.Metric) {
	for _, s := range m.sales() {
		if !s.Meta.Loaded {
			continue
		}
		sale := strconv.FormatInt(s.ID, 10)
		gauge := func(d *prometheus.Desc, v float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, sale)
		}
		gauge(m.total, float64(s.Meta.Total))
		gauge(m.available, float64(s.Meta.Available))
		gauge(m.pending, float64(s.Meta.Pending))
		gauge(m.settled, float64(s.Meta.Settled))
		age := 0.0
		if first := s.Meta.OldestPending; !first.IsZero() {
			age = max(0, s.Meta.Now.Sub(first).Seconds())
		}
		gauge(m.oldest, age)
	}
}
