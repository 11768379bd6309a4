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

type extendable interface {
	sales
	// ExtendPage moves pay_by of some of a sale's unpaid orders to its PayWithin.
	ExtendPage(ctx context.Context, sale order.Sale, after order.ID) (next order.ID, err error)
	Extended(ctx context.Context, sale order.Sale) error
}

// Extender brings an extension of the time to pay to the rows of the orders, for
// whoever reads them. Nothing waits for it: until it is through, the sale's own
// PayWithin counts. Any number of processes may do it at once; one that starts
// anew begins at the first order.
type Extender struct {
	store extendable
	log   *slog.Logger
	walks map[int64]walk
}

// walk is how far a sale's orders have been moved.
type walk struct {
	within time.Duration
	since  time.Time
	after  order.ID
}

// settleFirst is how long an extension must be known before its rows are moved:
// until then settling may still write rows of the old time, which it remembers
// for a second, and which a transaction has that waits for locks, 4 s for each.
// A row that the walk missed would be cancelled before its new time.
const settleFirst = 20 * time.Second

// NewExtender returns an Extender; call Step once a second, from one goroutine.
func NewExtender(store extendable, log *slog.Logger) *Extender {
	return &Extender{store: store, log: log, walks: map[int64]walk{}}
}

// Step goes on with each sale that has an extension until it is through or ctx
// is done, resting as the Expirer does.
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
		if time.Since(w.since) >= settleFirst {
			w.after, err = e.extend(ctx, s, w.after)
			errs = append(errs, err)
		}
		walks[s.ID] = w
	}
	e.walks = walks
	if ctx.Err() != nil {
		return nil //nolint:nilerr // cut off, not failed: the next step goes on
	}
	return errors.Join(errs...)
}

// extend moves a sale's orders from one on, and returns where to go on.
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
