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

// backlog counts the orders that wait in the queue: the number that the queue
// reported a second ago, plus what this process has sent since. Without the latter
// a flood could exceed any limit by a second of orders.
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

// waiting returns how many orders wait, as far as this process knows.
func (b *backlog) waiting() int64 { return b.lag.Load() + b.since.Load() }

// sent counts orders on their way into the queue.
func (b *backlog) sent(orders int) { b.since.Add(int64(orders)) }

// counting returns an observer of sent batches that counts their orders and calls
// next.
func (b *backlog) counting(next func(outcome string, batch int, took time.Duration)) func(string, int, time.Duration) {
	return func(outcome string, batch int, took time.Duration) {
		b.sent(batch)
		next(outcome, batch, took)
	}
}

// fewOrders is a batch of the consumers, which they settle in milliseconds.
const fewOrders = 256

// few reports whether hardly any order waits.
func (b *backlog) few() bool { return b.lag.Load() <= fewOrders }

// run asks the queue once a second. While the queue does not respond, the last
// number stands and everything sent is added to it.
func (b *backlog) run(ctx context.Context) error {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		counted := b.since.Load() // orders sent during the call may be missing in the response, so they stay counted
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
