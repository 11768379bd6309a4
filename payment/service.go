// Package payment cancels and pays orders: MySQL decides, Redis is told at once.
package payment

import (
	"context"
	"errors"
	"log/slog"

	"seckill/order"
	"seckill/stock"
)

type store interface {
	Cancel(ctx context.Context, id order.ID) (order.Verdict, error)
	Pay(ctx context.Context, p order.Payment) (order.Receipt, error)
}

type applier interface {
	Apply(ctx context.Context, cs []order.Change) error
}

// Till cancels and pays orders: MySQL decides, and Redis is told at once, so
// that returned units are on sale again. Where telling fails, the tail does it
// within seconds.
type Service struct {
	store  store
	ledger applier
	guard  func(func() error) error
	log    *slog.Logger
}

// NewTill returns a Till. guard is the breaker of MySQL.
func New(store store, ledger applier, guard func(func() error) error, log *slog.Logger) *Service {
	return &Service{store: store, ledger: ledger, guard: guard, log: log}
}

// Cancel is order.Store's, and tells Redis.
func (t *Service) Cancel(ctx context.Context, id order.ID) (v order.Verdict, err error) {
	err = t.ask(func() error { v, err = t.store.Cancel(ctx, id); return err })
	stock.WriteBack(ctx, t.ledger, t.log, v)
	return v, err
}

// Pay is order.Store's, and tells Redis.
func (t *Service) Pay(ctx context.Context, p order.Payment) (r order.Receipt, err error) {
	err = t.ask(func() error { r, err = t.store.Pay(ctx, p); return err })
	stock.WriteBack(ctx, t.ledger, t.log, r.Verdict)
	return r, err
}

// ask calls fn through the guard, which is to count the server's faults and
// not its answers.
func (t *Service) ask(fn func() error) error {
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
