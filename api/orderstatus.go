package api

import (
	"context"
	"errors"
	"log/slog"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"seckill/internal/problem"
	"seckill/order"
	"seckill/stock"
)

// statusQuery is one request's query for the status of an order.
type statusQuery struct {
	order.Order

	searched time.Time // when this request last searched for the order
}

const (
	// statusTimeout bounds one query, whatever the stores do.
	statusTimeout = 5 * time.Second
	// redisTimeout is the part of it that Redis may take: without Redis there is
	// still the row.
	redisTimeout = 2 * time.Second
	// searchAfter is the age at which an order that no store has is searched for:
	// before, it is most likely on its way.
	searchAfter = 5 * time.Second
	// searchEvery is how often one request searches at most: a search needs MySQL
	// statements that no other poll shares.
	searchEvery = 5 * time.Second
)

// boundedStatus is orderStatus within the limit of reads and statusTimeout.
func (s *Server) boundedStatus(ctx context.Context, q *statusQuery) (view, error) {
	if !s.polling.enter() {
		return view{}, problem.New(overloaded, nil)
	}
	defer s.polling.leave()
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	return s.orderStatus(ctx, q)
}

// orderStatus returns the status of an order. Redis only says that an order is
// pending; everything else is a row in MySQL. An order in neither store is
// pending too, until the resolver may void it: a store that does not answer may
// have it.
func (s *Server) orderStatus(ctx context.Context, q *statusQuery) (view, error) {
	e, inRedis, redisErr := s.entry(ctx, q.Order)
	if redisErr == nil && inRedis && e.State == stock.EntryPending {
		return pendingView(e.Order), nil
	}
	r, err := s.lookup.Get(ctx, q.ID)
	switch {
	case err == nil && order.Same(r.Order, q.Order):
		return s.rowView(ctx, r)
	case err != nil && !errors.Is(err, order.ErrNotFound):
		return view{}, problem.New(dependencyDown, err)
	}
	// Decided without a row of its own, if Redis or another order's row says so.
	decided := err == nil || redisErr == nil && inRedis
	if !decided && s.age(q.ID) < searchAfter || !q.searched.IsZero() && time.Since(q.searched) < searchEvery {
		return pendingView(q.Order), nil
	}
	q.searched = time.Now()
	// If Redis did not answer, it may have the order: the shopper asks again.
	return s.search(ctx, q.Order, redisErr == nil && !inRedis)
}

// entry is what Redis has of an order. Of a closed sale it should have nothing:
// an entry would be from a Redis that was restored from an older state.
func (s *Server) entry(ctx context.Context, o order.Order) (stock.Entry, bool, error) {
	if s.closed(ctx, o.SaleID) {
		return stock.Entry{}, false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	return s.stock.Entry(ctx, o.SaleID, o.ShopperID, o.ID)
}

// closed reports whether a sale is known to be closed; the local copy has no
// closed ones. A sale that was read before it closed is not known to be; the
// janitor takes it out of Redis as well.
func (s *Server) closed(ctx context.Context, saleID int64) bool {
	if _, ok := s.catalog.Get(saleID); ok || !s.catalog.Ready() {
		return false
	}
	sale, err := s.closedSales.Get(ctx, saleID)
	return err == nil && sale.State == order.SaleClosed
}

// search looks for an order without a row among the dead letters: it is there if
// its ID was another order's. If it is absent from Redis too, the resolver may
// end it.
func (s *Server) search(ctx context.Context, o order.Order, absent bool) (view, error) {
	ds, _, err := s.orders.Verdicts(ctx, []order.Order{o})
	if err != nil {
		return view{}, problem.New(dependencyDown, err)
	}
	if len(ds) > 0 {
		return s.decidedView(ctx, ds[0])
	}
	if !absent || s.resolver == nil {
		return pendingView(o), nil
	}
	d, decided, err := s.resolver.Resolve(ctx, o)
	if err != nil { // a server did not answer, the queue included: nothing is decided
		s.errorLog.error(ctx, "order not resolved", slog.Int64("sale_id", o.SaleID), slog.String("order_id", o.ID.String()), slog.Any("err", err))
		return pendingView(o), nil
	}
	if !decided {
		return pendingView(o), nil
	}
	return s.decidedView(ctx, d)
}

// decidedView shows a verdict. Only a rejection is complete without its row; any
// other was written a moment ago, and its row is read again.
func (s *Server) decidedView(ctx context.Context, d order.Verdict) (view, error) {
	if d.Status == order.StatusRejected {
		return verdictView(d), nil
	}
	r, err := s.lookup.Get(ctx, d.ID)
	if err != nil {
		return view{}, problem.New(dependencyDown, err)
	}
	return s.rowView(ctx, r)
}

func (s *Server) rowView(ctx context.Context, r order.Record) (view, error) {
	if c, ok := s.catalog.Get(r.SaleID); ok {
		return recordView(r, c.Currency), nil
	}
	sale, err := s.closedSales.Get(ctx, r.SaleID)
	if err != nil {
		return view{}, problem.New(dependencyDown, err)
	}
	return recordView(r, sale.Currency), nil
}

const (
	// expediteAfter is the age at which an order that is still pending, while hardly
	// any wait in the queue, was most likely never sent because its API process
	// died. At expediteUntil the sweeper finds it by itself.
	expediteAfter = 2 * time.Second
	expediteUntil = 30 * time.Second
	// expeditedKept bounds the orders remembered; a forgotten one may be expedited
	// twice.
	expeditedKept = 4096
)

func newExpedited() *lru.Cache[order.ID, struct{}] {
	c, _ := lru.New[order.ID, struct{}](expeditedKept) // fails only for a size below 1
	return c
}

// expedite hands a pending order that its shopper sent again to the sweeper, so
// that it need not wait for its lease to end. It does nothing in a backlog, and
// hands over each order once: the sweeper should get no more work than there are
// such orders.
func (s *Server) expedite(ctx context.Context, o order.Order) {
	if age := s.age(o.ID); s.quiet == nil || age < expediteAfter || age > expediteUntil || !s.quiet() {
		return
	}
	if again, _ := s.expedited.ContainsOrAdd(o.ID, struct{}{}); again {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, urgentTimeout)
	defer cancel()
	if err := s.stock.Urgent(ctx, o.SaleID, o); err != nil {
		s.errorLog.error(ctx, "pending order not expedited", slog.Int64("sale_id", o.SaleID), slog.String("order_id", o.ID.String()), slog.Any("err", err))
	}
}
