package main

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// eviction watches that Redis evicts nothing. Whether it may is one setting for
// the whole fleet: a process that knows it does says so, and goes on selling.
type eviction struct {
	rdb  redis.UniversalClient
	log  *slog.Logger
	last atomic.Pointer[string]
}

func newEviction(rdb redis.UniversalClient, log *slog.Logger) *eviction {
	return &eviction{rdb: rdb, log: log}
}

const (
	evictionEvery  = time.Minute
	evictionAdvice = "set maxmemory-policy noeviction: an evicted sale would have to be rebuilt while it sells"
)

// line is what the last look found, for people.
func (e *eviction) line() string {
	if last := e.last.Load(); last != nil {
		return "redis eviction: " + *last
	}
	return "redis eviction: not known yet"
}

// run looks at once and then every minute, until ctx is done.
func (e *eviction) run(ctx context.Context) error {
	t := time.NewTicker(evictionEvery)
	defer t.Stop()
	for {
		e.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

func (e *eviction) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	info, err := e.rdb.Info(ctx, "memory").Result()
	policy := infoField(info, "maxmemory_policy")
	if err != nil || policy == "" {
		return // who does not say has the last answer; the breaker says that it is away
	}
	found := "ok"
	if policy != "noeviction" {
		found = "WARNING: maxmemory-policy is \"" + policy + "\"; " + evictionAdvice
	}
	if before := e.last.Swap(&found); found != "ok" && (before == nil || *before != found) {
		e.log.WarnContext(ctx, "redis may evict sales", "found", found)
	}
}
