package main

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
