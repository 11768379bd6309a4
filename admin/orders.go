package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"seckill/order"
	"seckill/stock"
)

// orders are read and cancelled.
type orders interface {
	Find(ctx context.Context, ids []order.ID) ([]order.Record, error)
	CancelAs(ctx context.Context, by order.Operator, cmd string, id order.ID) (order.Verdict, error)
}

// search finds orders by what people know of them.
type search interface {
	Orders(ctx context.Context, q order.Query) (found []order.Record, next order.ID, err error)
	OfShopper(ctx context.Context, saleIDs []int64, shopper string, limit int) ([]order.Record, error)
	ByShopper(ctx context.Context, saleID int64, shopper string, before order.ID, limit int) ([]order.Record, error)
}

// entries are what Redis says of orders.
type entries interface {
	Entries(ctx context.Context, saleID int64, shopper string) ([]stock.Entry, error)
	Apply(ctx context.Context, cs []order.Change) error
}

// Found is an order as one store or both have it.
type Found struct {
	Order order.Order
	// Row is the order's verdict in MySQL; nil without one.
	Row *order.Record
	// Entry is what Redis says of it; nil for nothing, or when that was not
	// asked or cannot be.
	Entry *stock.Entry
	// Letters are the dead letters under its ID.
	Letters []order.DeadLetter
	// Sale is that of the order in both stores, where one order was asked for.
	Sale *SaleStatus
}

// OrderQuery selects orders: by sale, by sale and shopper, by sale and
// reference, or by shopper alone, which looks at the sales that are not closed.
type OrderQuery struct {
	SaleID    int64
	Shopper   string
	Reference string
	Before    order.ID
	Limit     int
}

// ErrQuery is the error of a query that nothing could answer in time.
var ErrQuery = errors.New("admin: wants a sale, or a shopper; a reference is looked for in a sale")

// Orders returns orders, newest first, and where to go on; 0 at the end. A page
// may be empty although more follow. With sale and shopper, those that are only
// in Redis are on the first page too; Redis being away is no error.
func (s *Service) Orders(ctx context.Context, q OrderQuery) (page []Found, next order.ID, err error) {
	switch {
	case q.SaleID == 0 && q.Shopper == "", q.Reference != "" && q.Shopper != "", q.Reference != "" && q.SaleID == 0:
		return nil, 0, ErrQuery
	case q.SaleID == 0:
		rs, err := s.everywhere(ctx, q)
		return found(rs), 0, err
	case q.Shopper != "":
		rs, err := ask(ctx, func(ctx context.Context) ([]order.Record, error) {
			return s.Search.ByShopper(ctx, q.SaleID, q.Shopper, q.Before, q.Limit)
		})
		if len(rs) == q.Limit {
			next = rs[q.Limit-1].ID
		}
		return s.withEntries(ctx, q, found(rs)), next, err
	}
	rs, err := ask(ctx, func(ctx context.Context) (rs []order.Record, err error) {
		rs, next, err = s.Search.Orders(ctx, order.Query{SaleID: q.SaleID, Reference: q.Reference, Before: q.Before, Limit: q.Limit})
		return rs, err
	})
	return found(rs), next, err
}

func found(rs []order.Record) []Found {
	page := make([]Found, len(rs))
	for i := range rs {
		page[i] = Found{Order: rs[i].Order, Row: &rs[i]}
	}
	return page
}

// everywhere looks for a shopper in the sales that are not closed.
func (s *Service) everywhere(ctx context.Context, q OrderQuery) ([]order.Record, error) {
	return ask(ctx, func(ctx context.Context) ([]order.Record, error) {
		sales, err := s.Sales.Sales(ctx)
		if err != nil {
			return nil, err
		}
		ids := make([]int64, len(sales))
		for i, sale := range sales {
			ids[i] = sale.ID
		}
		return s.Search.OfShopper(ctx, ids, q.Shopper, q.Limit)
	})
}

// withEntries adds what Redis says of a shopper's orders in a sale.
func (s *Service) withEntries(ctx context.Context, q OrderQuery, page []Found) []Found {
	es, err := s.Entries.Entries(ctx, q.SaleID, q.Shopper)
	if err != nil {
		return page // Redis is away, or the sale not loaded
	}
	known := map[order.ID]int{}
	for i := range page {
		known[page[i].Order.ID] = i
	}
	var unsettled []Found
	for i := range es {
		if at, ok := known[es[i].ID]; ok {
			page[at].Entry = &es[i]
		} else if q.Before == 0 && es[i].State == stock.EntryPending {
			unsettled = append(unsettled, Found{Order: es[i].Order, Entry: &es[i]})
		}
	}
	return append(unsettled, page...)
}

// Order returns where an order is. One without a row in MySQL is found in Redis
// when its sale and its shopper are given. The error is order.ErrNotFound when
// neither store nor the dead letters know it.
func (s *Service) Order(ctx context.Context, id order.ID, saleID int64, shopper string) (Found, error) {
	f := Found{Order: order.Order{ID: id, SaleID: saleID, ShopperID: shopper}}
	rs, err := ask(ctx, func(ctx context.Context) (rs []order.Record, err error) {
		if f.Letters, err = s.Letters.DeadLettersNamed(ctx, id.String()); err != nil {
			return nil, err
		}
		return s.OrderRows.Find(ctx, []order.ID{id})
	})
	if err != nil {
		return f, err
	}
	if len(rs) == 1 {
		f.Order, f.Row = rs[0].Order, &rs[0]
	}
	if f.Order.SaleID != 0 && f.Order.ShopperID != "" {
		es, err := s.Entries.Entries(ctx, f.Order.SaleID, f.Order.ShopperID)
		for i := range es {
			if err == nil && es[i].ID == id {
				f.Entry = &es[i]
			}
		}
	}
	if f.Row == nil && f.Entry == nil && len(f.Letters) == 0 {
		return f, fmt.Errorf("order %d: %w", id, order.ErrNotFound)
	}
	if f.Row == nil && f.Entry != nil {
		f.Order = f.Entry.Order
	}
	if sale, err := s.Sale(ctx, f.Order.SaleID); err == nil {
		f.Sale = &sale
	}
	return f, nil
}

// Cancelled is an order after it was cancelled.
type Cancelled struct {
	Verdict order.Verdict
	Behind  error // as Result's
}

const tellTimeout = 2 * time.Second

// CancelOrder takes a confirmed order back: its units are on sale again. The
// errors are those of order.Store.Cancel, and *UnavailableError.
func (s *Service) CancelOrder(ctx context.Context, c Call, id order.ID) (Cancelled, error) {
	v, err := ask(ctx, func(ctx context.Context) (order.Verdict, error) {
		return s.OrderRows.CancelAs(ctx, c.By, c.Command, id)
	})
	if err != nil {
		return Cancelled{Verdict: v}, err
	}
	told := Cancelled{Verdict: v}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellTimeout)
	defer cancel()
	if err := s.Entries.Apply(ctx, order.Changes([]order.Verdict{v})); err != nil && !errors.Is(err, stock.ErrNotLoaded) {
		told.Behind = &UnavailableError{"redis", err}
	}
	s.Log.InfoContext(ctx, "operator", "actor", c.By.Name, "action", "cancel", "order_id", id, "command", c.Command, "behind", told.Behind != nil)
	return told, nil
}
