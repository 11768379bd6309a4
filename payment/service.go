// Package payment pays and cancels orders: MySQL decides, then Redis is updated.
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

// Service pays and cancels orders. It updates Redis at once, so that returned
// units are on sale again; if that fails, the tail does it within seconds.
type Service struct {
	store  store
	ledger applier
	guard  func(func() error) error
	log    *slog.Logger
}

// New returns a Service. guard is the breaker of MySQL.
func New(store store, ledger applier, guard func(func() error) error, log *slog.Logger) *Service {
	return &Service{store: store, ledger: ledger, guard: guard, log: log}
}

// Cancel cancels a confirmed order in both stores.
func (s *Service) Cancel(ctx context.Context, id order.ID) (v order.Verdict, err error) {
	err = s.ask(func() error { v, err = s.store.Cancel(ctx, id); return err })
	stock.WriteBack(ctx, s.ledger, s.log, v)
	return v, err
}

// Pay records a payment of an order in both stores. One to be refunded changes nothing
// in Redis but the sale's cursor, at which later changes would wait for the tail.
func (s *Service) Pay(ctx context.Context, p order.Payment) (r order.Receipt, err error) {
	err = s.ask(func() error { r, err = s.store.Pay(ctx, p); return err })
	cs := order.Changes([]order.Verdict{r.Verdict})
	if r.RefundSeq > 0 {
		cs = append(cs, order.Change{SaleID: r.Verdict.SaleID, Seq: r.RefundSeq})
	}
	stock.WriteBackChanges(ctx, s.ledger, s.log, cs)
	return r, err
}

// ask calls fn through the guard. Refusals are answers of the database and must
// not count as its failures.
func (s *Service) ask(fn func() error) error {
	var answer error
	err := s.guard(func() error {
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
