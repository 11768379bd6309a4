package app

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"seckill/order"
)

var errNoWorker = errors.New("no worker number yet: MySQL has not answered since the start")

type counters interface {
	NextNodeID(ctx context.Context) (int64, error)
	LastNodeID(ctx context.Context) (int64, error)
}

// workerIDs makes order IDs once MySQL has given the process its worker number.
type workerIDs struct {
	counters counters
	log      *slog.Logger
	maker    atomic.Pointer[order.IDMaker]
}

func newWorkerIDs(c counters, log *slog.Logger) *workerIDs {
	return &workerIDs{counters: c, log: log}
}

// Next returns a new order ID.
func (w *workerIDs) Next() (order.ID, error) {
	m := w.maker.Load()
	if m == nil {
		return 0, errNoWorker
	}
	return m.Next()
}

func (w *workerIDs) ready() error {
	if w.maker.Load() == nil {
		return errNoWorker
	}
	return nil
}

// run takes a worker number, trying until MySQL gives one, and then watches
// that the counter does not come round to it: it takes a new one first.
func (w *workerIDs) run(ctx context.Context) error {
	const patience, watch = 500 * time.Millisecond, 10 * time.Second
	wait := time.Duration(0)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		askCtx, cancel := context.WithTimeout(ctx, askTimeout)
		wait = watch
		if !w.usable(askCtx) && !w.take(askCtx) {
			wait = patience
		}
		cancel()
	}
}

// usable reports whether the number at hand may go on being used.
func (w *workerIDs) usable(ctx context.Context) bool {
	m := w.maker.Load()
	if m == nil {
		return false
	}
	last, err := w.counters.LastNodeID(ctx)
	return err != nil || m.Observe(last) // unanswered: the counter moves slowly
}

// take takes a new number.
func (w *workerIDs) take(ctx context.Context) bool {
	n, err := w.counters.NextNodeID(ctx)
	if err != nil {
		w.log.WarnContext(ctx, "no worker number yet", "err", err)
		return false
	}
	w.maker.Store(order.NewIDMaker(n))
	w.log.InfoContext(ctx, "worker number taken", "worker", n)
	return true
}
