package api

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"seckill/internal/problem"
	"seckill/order"
	"seckill/stock"
)

// pursuit is an order and the looks that one request takes at it.
type pursuit struct {
	order.Order

	searched time.Time // when it was last searched for
}

const (
	// searchAfter is the age at which an order that is nowhere is searched for:
	// before, it is most likely on its way.
	searchAfter = 5 * time.Second
	// searchEvery is how often one request searches at most: a search costs
	// MySQL statements that no other poll shares.
	searchEvery = 5 * time.Second
	// redisWithin is what of the time for a look Redis may take: without it
	// there is still the row.
	redisWithin = 2 * time.Second
)

// look finds out what an order has come to. Redis answers only that it is
// pending; everything else is a row in MySQL. An order in neither store is
// pending too, until the resolver may void it: a store that cannot be asked is
// not one that has nothing.
func (s *Server) look(ctx context.Context, p *pursuit) (view, error) {
	e, inRedis, redisErr := s.entry(ctx, p.Order)
	if redisErr == nil && inRedis && e.State == stock.EntryPending {
		return pendingView(e.Order), nil
	}
	r, err := s.Lookup.Get(ctx, p.ID)
	switch {
	case err == nil && order.Same(r.Order, p.Order):
		return s.rowView(ctx, r)
	case err != nil && !errors.Is(err, order.ErrNotFound):
		return view{}, problem.New(dependencyDown, err)
	}
	// Decided, though there is no row of it: Redis or another's row says so.
	decided := err == nil || redisErr == nil && inRedis
	if !decided && s.age(p.ID) < searchAfter || !p.searched.IsZero() && time.Since(p.searched) < searchEvery {
		return pendingView(p.Order), nil
	}
	p.searched = time.Now()
	// A Redis that cannot be asked may have it: the shopper asks again.
	return s.search(ctx, p.Order, redisErr == nil && !inRedis)
}

// entry is what Redis has of an order. A closed sale has nothing there: what is
// found all the same is from a Redis that came back older, and long decided.
func (s *Server) entry(ctx context.Context, o order.Order) (stock.Entry, bool, error) {
	if s.closed(ctx, o.SaleID) {
		return stock.Entry{}, false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, redisWithin)
	defer cancel()
	return s.Stock.Entry(ctx, o.SaleID, o.ShopperID, o.ID)
}

// closed reports whether a sale is known to be closed: the local copy has none
// that is. One that was read before it closed is not known to be; the janitor
// takes it out of Redis as well.
func (s *Server) closed(ctx context.Context, saleID int64) bool {
	if _, ok := s.Catalog.Get(saleID); ok || !s.Catalog.Ready() {
		return false
	}
	sale, err := s.closedSales.Get(ctx, saleID)
	return err == nil && sale.State == order.SaleClosed
}

// search looks for an order without a row among the dead letters, where it is
// when its ID was another order's; the resolver may end one that is absent from
// Redis too.
func (s *Server) search(ctx context.Context, o order.Order, absent bool) (view, error) {
	ds, _, err := s.Orders.Verdicts(ctx, []order.Order{o})
	if err != nil {
		return view{}, problem.New(dependencyDown, err)
	}
	if len(ds) > 0 {
		return s.decidedView(ctx, ds[0])
	}
	if !absent || s.Resolver == nil {
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

// decidedView shows a verdict. Only a rejection is complete without its row;
// any other was written a moment ago, and the row is read again.
func (s *Server) decidedView(ctx context.Context, d order.Verdict) (view, error) {
	if d.Status == order.StatusRejected {
		return verdictView(d), nil
	}
	r, err := s.Lookup.Get(ctx, d.ID)
	if err != nil {
		return view{}, problem.New(dependencyDown, err)
	}
	return s.rowView(ctx, r)
}

func (s *Server) rowView(ctx context.Context, r order.Record) (view, error) {
	currency, err := s.currency(ctx, r.SaleID)
	if err != nil {
		return view{}, problem.New(dependencyDown, err)
	}
	return recordView(r, currency), nil
}

func (s *Server) currency(ctx context.Context, saleID int64) (string, error) {
	if c, ok := s.Catalog.Get(saleID); ok {
		return c.Currency, nil
	}
	sale, err := s.closedSales.Get(ctx, saleID)
	return sale.Currency, err
}
