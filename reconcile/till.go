package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"seckill/order"
	"seckill/stock"
)

type desk interface {
	Cancel(ctx context.Context, id order.ID) (order.Verdict, error)
	Pay(ctx context.Context, p order.Payment) (order.Receipt, error)
}

type applier interface {
	Apply(ctx context.Context, cs []order.Change) error
}

// Till cancels and pays orders: MySQL decides, and Redis is told at once, so
// that returned units are on sale again. Where telling fails, the tail does it
// within seconds.
type Till struct {
	store  desk
	ledger applier
	guard  func(func() error) error
	log    *slog.Logger
}

// NewTill returns a Till. guard is the breaker of MySQL.
func NewTill(store desk, ledger applier, guard func(func() error) error, log *slog.Logger) *Till {
	return &Till{store: store, ledger: ledger, guard: guard, log: log}
}

// writeBackTimeout bounds how long an ailing Redis holds up an answer that
// stands already.
const writeBackTimeout = time.Second

// Cancel is order.Store's, and tells Redis.
func (t *Till) Cancel(ctx context.Context, id order.ID) (v order.Verdict, err error) {
	err = t.ask(func() error { v, err = t.store.Cancel(ctx, id); return err })
	writeBack(ctx, t.ledger, t.log, v)
	return v, err
}

// Pay is order.Store's, and tells Redis.
func (t *Till) Pay(ctx context.Context, p order.Payment) (r order.Receipt, err error) {
	err = t.ask(func() error { r, err = t.store.Pay(ctx, p); return err })
	writeBack(ctx, t.ledger, t.log, r.Verdict)
	return r, err
}

// ask calls fn through the guard, which is to count the server's faults and
// not its answers.
func (t *Till) ask(fn func() error) error {
	var answer error
	err := t.guard(func() error {
		err := fn()
		for _, a := range []error{order.ErrNotFound, order.ErrConflict, order.ErrAmount, order.ErrInvalid} {
			if errors.Is(err, a) {
				answer = err
				return nil
			}
		}
		return err
	})
	return errors.Join(answer, err)
}

// writeBack tells Redis of verdicts of this process; those that were only read
// (Seq 0) have no change.
func writeBack(ctx context.Context, ledger applier, log *slog.Logger, vs ...order.Verdict) {
	cs := order.Changes(vs)
	if len(cs) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeBackTimeout)
	defer cancel()
	if err := ledger.Apply(ctx, cs); err != nil && !errors.Is(err, stock.ErrNotLoaded) {
		log.WarnContext(ctx, "change left to the tail", "orders", len(vs), "err", err)
	}
}
