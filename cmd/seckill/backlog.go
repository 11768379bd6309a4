package main

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

type lagger interface {
	Lag(ctx context.Context) (int64, error)
}

// backlog knows how many orders wait in the queue, as of a second ago.
type backlog struct {
	queue lagger
	limit int64
	log   *slog.Logger
	lag   atomic.Int64
}

func newBacklog(q lagger, limit int64, log *slog.Logger) *backlog {
	return &backlog{queue: q, limit: limit, log: log}
}

// over reports whether more orders wait than the limit allows.
func (b *backlog) over() bool { return b.lag.Load() > b.limit }

// fewOrders is a batch of the consumers, who are through with it in no time.
const fewOrders = 256

// few reports whether hardly any order waits.
func (b *backlog) few() bool { return b.lag.Load() <= fewOrders }

// run asks the queue once a second. While it cannot be asked the last answer
// stands: the breaker is what refuses then.
func (b *backlog) run(ctx context.Context) error {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		askCtx, cancel := context.WithTimeout(ctx, 2*time.Second)
		n, err := b.queue.Lag(askCtx)
		cancel()
		if err != nil {
			continue
		}
		if was := b.lag.Swap(n); was > b.limit != (n > b.limit) {
			b.log.WarnContext(ctx, "backlog gate", "refusing", n > b.limit, "backlog", n, "limit", b.limit)
		}
	}
}
