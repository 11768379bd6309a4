package app

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/redis/go-redis/v9"

	"seckill/cmd/seckill/internal/checkup"
	"seckill/internal/loop"
)

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
