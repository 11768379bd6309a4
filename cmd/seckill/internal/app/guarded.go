package app

import (
	"context"

	"seckill/order"
	"seckill/stock"
)

// guardedLedger is what polls read of Redis, through its breaker: while Redis
// does not answer, a poll does not wait for it.
type guardedLedger struct {
	*stock.Ledger
	guard func(func() error) error
}

func (g guardedLedger) Entry(ctx context.Context, saleID int64, shopper string, id order.ID) (e stock.Entry, ok bool, err error) {
	err = g.guard(func() error { e, ok, err = g.Ledger.Entry(ctx, saleID, shopper, id); return err })
	return e, ok, err
}

func (g guardedLedger) Entries(ctx context.Context, saleID int64, shopper string) (es []stock.Entry, err error) {
	err = g.guard(func() error { es, err = g.Ledger.Entries(ctx, saleID, shopper); return err })
	return es, err
}

// guardedOrders is what polls read of MySQL, through its breaker.
type guardedOrders struct {
	orderStore
	guard func(func() error) error
}

func (g guardedOrders) ByShopper(ctx context.Context, saleID int64, shopper string, before order.ID, limit int) (rs []order.Record, err error) {
	err = g.guard(func() error { rs, err = g.orderStore.ByShopper(ctx, saleID, shopper, before, limit); return err })
	return rs, err
}

func (g guardedOrders) Verdicts(ctx context.Context, os []order.Order) (decided []order.Verdict, undecided []order.Order, err error) {
	err = g.guard(func() error { decided, undecided, err = g.orderStore.Verdicts(ctx, os); return err })
	return decided, undecided, err
}

func (g guardedOrders) Sale(ctx context.Context, id int64) (s order.Sale, err error) {
	err = g.guard(func() error { s, err = g.orderStore.Sale(ctx, id); return err })
	return s, err
}

func (g guardedOrders) Void(ctx context.Context, o order.Order) (v order.Verdict, err error) {
	err = g.guard(func() error { v, err = g.orderStore.Void(ctx, o); return err })
	return v, err
}
