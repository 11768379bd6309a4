package app

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

type lagger interface {
	Lag(ctx context.Context) (int64, error)
}

// backlog knows how many orders wait in the queue: what the queue said a second
// ago, and what this process has sent since. Without the latter a flood would
// put a second's worth of it on top of any limit.
type backlog struct {
	queue lagger
	limit atomic.Int64
	log   *slog.Logger
	lag   atomic.Int64
	since atomic.Int64
}

func newBacklog(q lagger, limit int64, log *slog.Logger) *backlog {
	b := &backlog{queue: q, log: log}
	b.limit.Store(limit)
	return b
}

// over reports whether more orders wait than the limit allows.
func (b *backlog) over() bool { return b.waiting() > b.limit.Load() }

// waiting is how many orders wait, as far as is known here.
func (b *backlog) waiting() int64 { return b.lag.Load() + b.since.Load() }

// sent counts orders on their way into the queue.
func (b *backlog) sent(orders int) { b.since.Add(int64(orders)) }

// counting returns what is told of each batch sent: it counts it and passes it
// on.
func (b *backlog) counting(next func(outcome string, batch int, took time.Duration)) func(string, int, time.Duration) {
	return func(outcome string, batch int, took time.Duration) {
		b.sent(batch)
		next(outcome, batch, took)
	}
}

// fewOrders is a batch of the consumers, who are through with it in no time.
const fewOrders = 256

// few reports whether hardly any order waits.
func (b *backlog) few() bool { return b.lag.Load() <= fewOrders }

// run asks the queue once a second. While it cannot be asked the last answer
// stands, and all that is sent counts on top of it.
func (b *backlog) run(ctx context.Context) error {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		counted := b.since.Load() // what is sent while we ask may not be in the answer: it counts on
		askCtx, cancel := context.WithTimeout(ctx, 2*time.Second)
		n, err := b.queue.Lag(askCtx)
		cancel()
		if err != nil {
			continue
		}
		b.since.Add(-counted)
		if was, limit := b.lag.Swap(n), b.limit.Load(); was > limit != (n > limit) {
			b.log.WarnContext(ctx, "backlog gate", "refusing", n > limit, "backlog", n, "limit", limit)
		}
	}
}
