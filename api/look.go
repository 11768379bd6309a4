package api

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"seckill/order"
	"seckill/stock"
)

// look finds out what an order has come to. Redis answers only that it is
// pending; everything else is a row in MySQL. An order in neither store is
// pending too, until the resolver may void it: a store that cannot be asked is
// not one that has nothing.
func (s *Server) look(ctx context.Context, o order.Order) (view, error) {
	e, inRedis, redisErr := s.Stock.Entry(ctx, o.SaleID, o.ShopperID, o.ID)
	if redisErr == nil && inRedis && e.State == stock.EntryPending {
		return pendingView(e.Order), nil
	}
	v, found, err := s.verdict(ctx, o)
	if err != nil {
		return view{}, fail(dependencyDown, err)
	}
	if found {
		return v, nil
	}
	absent := redisErr == nil && !inRedis // a Redis that cannot be asked may have it: the shopper asks again
	if !absent || s.Resolver == nil || s.age(o.ID) < resolveAfter {
		return pendingView(o), nil
	}
	d, decided, err := s.Resolver.Resolve(ctx, o)
	if err != nil { // it asks the queue too; whoever cannot be asked decides nothing
		s.logs.error(ctx, "order not resolved", slog.Int64("sale_id", o.SaleID), slog.String("order_id", o.ID.String()), slog.Any("err", err))
		return pendingView(o), nil
	}
	if !decided {
		return pendingView(o), nil
	}
	return s.decidedView(ctx, d)
}

// resolveAfter is the age at which an order that is nowhere will not arrive any
// more on its own.
const resolveAfter = 60 * time.Second

// verdict reads an order's row, or, when its ID is another order's, its dead
// letter.
func (s *Server) verdict(ctx context.Context, o order.Order) (view, bool, error) {
	r, err := s.Lookup.Get(ctx, o.ID)
	switch {
	case err == nil && order.Same(r.Order, o):
		currency, err := s.currency(ctx, o.SaleID)
		return recordView(r, currency), err == nil, err
	case err != nil && !errors.Is(err, order.ErrNotFound):
		return view{}, false, err
	}
	decided, _, err := s.Orders.Verdicts(ctx, []order.Order{o})
	if err != nil || len(decided) == 0 {
		return view{}, false, err
	}
	v, err := s.decidedView(ctx, decided[0])
	return v, err == nil, err
}

// decidedView shows a verdict. Only a rejection is complete without its row;
// any other was written a moment ago, and the row is read again.
func (s *Server) decidedView(ctx context.Context, d order.Verdict) (view, error) {
	if d.Status == order.StatusRejected {
		return verdictView(d), nil
	}
	r, err := s.Lookup.Get(ctx, d.ID)
	if err != nil {
		return view{}, fail(dependencyDown, err)
	}
	currency, err := s.currency(ctx, d.SaleID)
	if err != nil {
		return view{}, fail(dependencyDown, err)
	}
	return recordView(r, currency), nil
}

func (s *Server) currency(ctx context.Context, saleID int64) (string, error) {
	if c, ok := s.Catalog.Get(saleID); ok {
		return c.Currency, nil
	}
	sale, err := s.archive.get(ctx, saleID)
	return sale.Currency, err
}
