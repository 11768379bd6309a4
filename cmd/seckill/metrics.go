package main

import (
	"database/sql"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/redis/go-redis/v9"
)

// registerProcess registers what every process exports: build, Go runtime,
// process.
func registerProcess(reg prometheus.Registerer) {
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	v := thisBuild()
	promauto.With(reg).NewGaugeVec(prometheus.GaugeOpts{Name: "seckill_build_info", Help: "1, with the build's version."}, []string{"version", "commit", "go"}).
		WithLabelValues(v.Version, v.Commit, v.Go).Set(1)
}

// breakerGauge returns a function that is told of the state of the breakers
// with these names.
func breakerGauge(reg prometheus.Registerer, names ...string) func(name, state string) {
	g := promauto.With(reg).NewGaugeVec(prometheus.GaugeOpts{Name: "seckill_breaker_state", Help: "0 closed, 1 half-open, 2 open."}, []string{"name"})
	states := map[string]float64{"closed": 0, "half-open": 1, "open": 2}
	for _, name := range names {
		g.WithLabelValues(name).Set(0)
	}
	return func(name, state string) { g.WithLabelValues(name).Set(states[state]) }
}

// expiredCounter returns a function that is told of unpaid orders cancelled.
func expiredCounter(reg prometheus.Registerer) func(orders int) {
	c := promauto.With(reg).NewCounter(prometheus.CounterOpts{Name: "seckill_orders_expired_total", Help: "Orders cancelled because they were not paid in time."})
	return func(orders int) { c.Add(float64(orders)) }
}

// publishMetrics returns a function that is told of each batch sent.
func publishMetrics(reg prometheus.Registerer) func(outcome string, batch int, took time.Duration) {
	f := promauto.With(reg)
	size := f.NewHistogram(prometheus.HistogramOpts{Name: "seckill_publish_batch_size", Help: "Orders in one send.", Buckets: prometheus.ExponentialBuckets(1, 2, 7)})
	took := f.NewHistogramVec(prometheus.HistogramOpts{Name: "seckill_publish_duration_seconds", Help: "Time of one send, further tries included.", Buckets: prometheus.ExponentialBuckets(.0005, 2, 13)}, []string{"result"})
	return func(outcome string, batch int, d time.Duration) {
		size.Observe(float64(batch))
		took.WithLabelValues(outcome).Observe(d.Seconds())
	}
}

// registerPools registers the connection pools of the servers.
func registerPools(reg prometheus.Registerer, db *sql.DB, rdb redis.UniversalClient) {
	reg.MustRegister(collectors.NewDBStatsCollector(db, "seckill"))
	f := promauto.With(reg)
	pool := func(name, help string, value func(*redis.PoolStats) uint32) {
		f.NewGaugeFunc(prometheus.GaugeOpts{Name: "seckill_redis_pool_" + name, Help: help}, func() float64 { return float64(value(rdb.PoolStats())) })
	}
	pool("connections", "Connections to Redis.", func(s *redis.PoolStats) uint32 { return s.TotalConns })
	pool("idle_connections", "Connections to Redis that nobody uses.", func(s *redis.PoolStats) uint32 { return s.IdleConns })
	pool("timeouts", "Waits for a connection to Redis that were in vain, since the start.", func(s *redis.PoolStats) uint32 { return s.Timeouts })
}
