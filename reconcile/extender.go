package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"seckill/internal/loop"
	"seckill/order"
)

type extendStore interface {
	sales
	// ExtendPage moves pay_by of some of a sale's unpaid orders to its PayWithin.
	ExtendPage(ctx context.Context, sale order.Sale, after order.ID) (next order.ID, err error)
	Extended(ctx context.Context, sale order.Sale) error
}

// Extender writes an extension of the time to pay to the rows of the orders.
// Nothing waits for it: until it is done, the sale's own PayWithin counts. Any
// number of processes may do it at once; a new one starts at the first order.
type Extender struct {
	store extendStore
	log   *slog.Logger
	walks map[int64]walk
}

// walk is how far a sale's orders have been moved.
type walk struct {
	within time.Duration
	since  time.Time
	after  order.ID
}

// extendDelay is how long an extension must be known before its rows are moved.
// Until then settling may still write rows with the old time, which it caches for
// a second; a transaction that waits for locks has it longer, 4 s for each lock. A
// row that the walk missed would be cancelled too early.
const extendDelay = 20 * time.Second

// NewExtender returns an Extender; call Step once a second, from one goroutine.
func NewExtender(store extendStore, log *slog.Logger) *Extender {
	return &Extender{store: store, log: log, walks: map[int64]walk{}}
}

// Step continues each sale that has an extension until all its orders are moved
// or ctx is done, with pauses like the Expirer's.
func (e *Extender) Step(ctx context.Context) error {
	ss, err := e.store.Sales(ctx)
	if err != nil {
		return fmt.Errorf("list sales: %w", err)
	}
	walks := map[int64]walk{}
	var errs []error
	for _, s := range ss {
		if !s.Extending {
			continue
		}
		w := e.walks[s.ID]
		if w.within != s.PayWithin {
			w = walk{within: s.PayWithin, since: time.Now()}
		}
		if time.Since(w.since) >= extendDelay {
			w.after, err = e.extend(ctx, s, w.after)
			errs = append(errs, err)
		}
		walks[s.ID] = w
	}
	e.walks = walks
	if ctx.Err() != nil {
		return nil //nolint:nilerr // interrupted, not failed: the next step continues
	}
	return errors.Join(errs...)
}

// extend moves a sale's orders after the given one, and returns where to continue.
func (e *Extender) extend(ctx context.Context, s order.Sale, after order.ID) (order.ID, error) {
	for ctx.Err() == nil {
		began := time.Now()
		next, err := e.store.ExtendPage(ctx, s, after)
		if err != nil {
			return after, err
		}
		if next == 0 {
			e.log.InfoContext(ctx, "time to pay extended", "sale_id", s.ID, "pay_within", s.PayWithin)
			return 0, e.store.Extended(ctx, s)
		}
		after = next
		_ = loop.Pause(ctx, expiryRest*time.Since(began))
	}
	return after, nil
}
