package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"seckill/order"
	"seckill/stock"
)

// orders reads and cancels orders.
type orders interface {
	Find(ctx context.Context, ids []order.ID) ([]order.Record, error)
	CancelAs(ctx context.Context, by order.Operator, cmd string, id order.ID) (order.Verdict, error)
}

// search finds orders by shopper or reference.
type search interface {
	Orders(ctx context.Context, q order.Query) (found []order.Record, next order.ID, err error)
	OfShopper(ctx context.Context, saleIDs []int64, shopper string, before order.ID, limit int) ([]order.Record, error)
	ByShopper(ctx context.Context, saleID int64, shopper string, before order.ID, limit int) ([]order.Record, error)
}

// entries reads the entries of orders in Redis.
type entries interface {
	Entries(ctx context.Context, saleID int64, shopper string) ([]stock.Entry, error)
	Apply(ctx context.Context, cs []order.Change) error
}

// FoundOrder is an order as found in one store or both.
type FoundOrder struct {
	Order order.Order
	// Row is the order's verdict in MySQL; nil without one.
	Row *order.Record
	// Entry is its entry in Redis; nil if there is none, or if Redis was not asked
	// or did not answer.
	Entry *stock.Entry
	// DeadLetters are those under its ID.
	DeadLetters []order.DeadLetter
	// Payments are those of the order, newest first, if a single order was requested.
	Payments []order.PaymentRecord
	// Sale is its sale in both stores, if a single order was requested.
	Sale *SaleStatus
}

// OrderQuery selects orders: by sale, by sale and shopper, by sale and
// reference, or by shopper alone in the sales that are not closed.
type OrderQuery struct {
	SaleID    int64
	Shopper   string
	Reference string
	Before    order.ID
	Limit     int
}

// ErrQuery is the error of a query that no index could serve in time.
var ErrQuery = errors.New("admin: a query needs a sale or a shopper; a reference needs a sale")

// Orders returns orders, newest first, and the ID to continue from; 0 at the end.
// A page may be empty although more follow. With sale and shopper, the first page
// also has the orders that only Redis has; an unavailable Redis is not an error.
func (s *Service) Orders(ctx context.Context, q OrderQuery) (page []FoundOrder, next order.ID, err error) {
	switch {
	case q.SaleID == 0 && q.Shopper == "", q.Reference != "" && q.Shopper != "", q.Reference != "" && q.SaleID == 0:
		return nil, 0, ErrQuery
	case q.SaleID == 0:
		rs, err := s.acrossSales(ctx, q)
		return found(rs), after(rs, q.Limit), err
	case q.Shopper != "":
		rs, err := ask(ctx, func(ctx context.Context) ([]order.Record, error) {
			return s.search.ByShopper(ctx, q.SaleID, q.Shopper, q.Before, q.Limit)
		})
		return s.withEntries(ctx, q, found(rs)), after(rs, q.Limit), err
	}
	rs, err := ask(ctx, func(ctx context.Context) (rs []order.Record, err error) {
		rs, next, err = s.search.Orders(ctx, order.Query{SaleID: q.SaleID, Reference: q.Reference, Before: q.Before, Limit: q.Limit})
		return rs, err
	})
	return found(rs), next, err
}

// after returns the ID to continue from after a page of at most so many; a full one may
// have a successor.
func after(rs []order.Record, limit int) order.ID {
	if len(rs) < limit {
		return 0
	}
	return rs[limit-1].ID
}

func found(rs []order.Record) []FoundOrder {
	page := make([]FoundOrder, len(rs))
	for i := range rs {
		page[i] = FoundOrder{Order: rs[i].Order, Row: &rs[i]}
	}
	return page
}

// acrossSales finds a shopper's orders in the sales that are not closed.
func (s *Service) acrossSales(ctx context.Context, q OrderQuery) ([]order.Record, error) {
	return ask(ctx, func(ctx context.Context) ([]order.Record, error) {
		sales, err := s.sales.Sales(ctx)
		if err != nil {
			return nil, err
		}
		return s.search.OfShopper(ctx, order.SaleIDs(sales), q.Shopper, q.Before, q.Limit)
	})
}

// withEntries adds the entries in Redis of a shopper's orders in a sale.
func (s *Service) withEntries(ctx context.Context, q OrderQuery, page []FoundOrder) []FoundOrder {
	es, err := s.entries.Entries(ctx, q.SaleID, q.Shopper)
	if err != nil {
		return page // Redis is away, or the sale not loaded
	}
	known := map[order.ID]int{}
	for i := range page {
		known[page[i].Order.ID] = i
	}
	var unsettled []FoundOrder
	for i := range es {
		if at, ok := known[es[i].ID]; ok {
			page[at].Entry = &es[i]
		} else if q.Before == 0 && es[i].State == stock.EntryPending {
			unsettled = append(unsettled, FoundOrder{Order: es[i].Order, Entry: &es[i]})
		}
	}
	return append(unsettled, page...)
}

// paymentsShown is how many payments of an order are shown. It has one, rarely more.
const paymentsShown = 100

// Order returns an order from both stores. One without a row in MySQL is found in
// Redis if its sale and shopper are given. The error is order.ErrNotFound if
// neither store nor the dead letters have it.
func (s *Service) Order(ctx context.Context, id order.ID, saleID int64, shopper string) (FoundOrder, error) {
	f := FoundOrder{Order: order.Order{ID: id, SaleID: saleID, ShopperID: shopper}}
	rs, err := ask(ctx, func(ctx context.Context) (rs []order.Record, err error) {
		if f.DeadLetters, err = s.deadLetters.DeadLettersNamed(ctx, id.String()); err != nil {
			return nil, err
		}
		if f.Payments, err = s.payments.Payments(ctx, order.PaymentQuery{OrderID: id, Limit: paymentsShown}); err != nil {
			return nil, err
		}
		return s.orders.Find(ctx, []order.ID{id})
	})
	if err != nil {
		return f, err
	}
	if len(rs) == 1 {
		f.Order, f.Row = rs[0].Order, &rs[0]
	}
	if f.Order.SaleID != 0 && f.Order.ShopperID != "" {
		es, err := s.entries.Entries(ctx, f.Order.SaleID, f.Order.ShopperID)
		for i := range es {
			if err == nil && es[i].ID == id {
				f.Entry = &es[i]
			}
		}
	}
	if f.Row == nil && f.Entry == nil && len(f.DeadLetters) == 0 {
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

const applyTimeout = 2 * time.Second

// CancelOrder cancels a confirmed order: its units are on sale again. The errors are
// those of order.Store.Cancel, and *UnavailableError.
func (s *Service) CancelOrder(ctx context.Context, c Call, id order.ID) (Cancelled, error) {
	v, err := ask(ctx, func(ctx context.Context) (order.Verdict, error) {
		return s.orders.CancelAs(ctx, c.By, c.Command, id)
	})
	if err != nil {
		return Cancelled{Verdict: v}, err
	}
	done := Cancelled{Verdict: v}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), applyTimeout)
	defer cancel()
	if err := s.entries.Apply(ctx, order.Changes([]order.Verdict{v})); err != nil && !errors.Is(err, stock.ErrNotLoaded) {
		done.Behind = &UnavailableError{"redis", err}
	}
	s.log.InfoContext(ctx, "operator", "actor", c.By.Name, "action", "cancel", "order_id", id, "command", c.Command, "behind", done.Behind != nil)
	return done, nil
}

// OrderView is the JSON of an order, with its state in each store.
type OrderView struct {
	ID        string `json:"id"`
	SaleID    string `json:"sale_id,omitempty"`
	ShopperID string `json:"shopper_id,omitempty"`
	Quantity  int    `json:"quantity,omitempty"`
	Reference string `json:"reference,omitempty"`
	Key       string `json:"key_digest,omitempty"` // of its Idempotency-Key
	// Status is the verdict; pending if only Redis has the order.
	Status      string `json:"status"`
	Reason      string `json:"reason,omitempty"`
	AmountMinor int64  `json:"amount_minor,omitempty"`
	Amount      string `json:"amount,omitempty"` // as people write it; of a single order
	ReservedAt  string `json:"reserved_at"`      // when its ID was made
	DecidedAt   string `json:"decided_at,omitempty"`
	PayBy       string `json:"pay_by,omitempty"`
	// Redis is its state in Redis: pending, settled, rejected, cancelled; empty if
	// there is none, or if Redis was not asked.
	Redis       string           `json:"redis,omitempty"`
	Sale        *SaleView        `json:"sale,omitempty"`
	DeadLetters []DeadLetterView `json:"dead_letters,omitempty"`
	Payments    []PaymentView    `json:"payments,omitempty"`
	// Where is a sentence that says where the order is.
	Where string `json:"where,omitempty"`
}

// ViewOrder returns the JSON of f.
func ViewOrder(f FoundOrder) OrderView {
	o := f.Order
	v := OrderView{
		ID: o.ID.String(), SaleID: FormatID(o.SaleID), ShopperID: o.ShopperID, Quantity: o.Quantity, Reference: o.Reference,
		Status: string(order.StatusPending), ReservedAt: timestamp(o.ID.Time()),
	}
	if o.Key != 0 {
		v.Key = fmt.Sprintf("%016x", o.Key)
	}
	if r := f.Row; r != nil {
		v.Status, v.Reason = string(r.Status), string(r.Reason)
		v.AmountMinor, v.DecidedAt = r.UnitPrice*int64(r.Quantity), timestamp(r.DecidedAt)
		if !r.PayBy.IsZero() {
			v.PayBy = timestamp(r.PayBy)
		}
	}
	if f.Entry != nil {
		v.Redis = entryState(f.Entry.State)
	}
	for _, d := range f.DeadLetters {
		v.DeadLetters = append(v.DeadLetters, ViewDeadLetterBody(d))
		if d.IsVerdict() && f.Row == nil {
			v.Status, v.Reason = string(order.StatusRejected), Printable(d.Reason)
		}
	}
	for _, p := range f.Payments {
		v.Payments = append(v.Payments, ViewPayment(p))
	}
	if f.Sale != nil {
		sale := ViewStatus(*f.Sale)
		v.Sale, v.Where = &sale, where(f)
		if f.Row != nil {
			v.Amount = order.Money(v.AmountMinor, sale.Currency)
		}
	}
	return v
}

func entryState(s stock.EntryState) string {
	switch s {
	case stock.EntryPending:
		return "pending"
	case stock.EntrySettled:
		return "settled"
	case stock.EntryRejected:
		return "rejected"
	case stock.EntryCancelled:
		return "cancelled"
	default:
		return string(s)
	}
}

// where says where an order is, for the support of shoppers.
func where(f FoundOrder) string {
	inRedis := f.Sale.Meta.Err == nil && f.Sale.Meta.Loaded
	switch {
	case f.Row == nil && f.Entry != nil:
		return "Reserved in Redis, without a verdict: its message waits in the queue, or the sweeper settles it 30 s after it was reserved."
	case f.Row == nil:
		return "It has no row: see the dead letters."
	case f.Entry != nil && f.Entry.State == stock.EntryPending:
		return "Decided in MySQL; Redis has yet to be told, which the consumers do within seconds."
	case f.Row.Status == order.StatusConfirmed && inRedis && f.Entry == nil:
		return "Confirmed in MySQL, unknown to Redis: the tail adopts it within seconds, else the audit lists it."
	case f.Row.Status == order.StatusConfirmed:
		return "Confirmed, and not paid yet."
	case f.Row.Status == order.StatusRejected:
		return "Rejected, for good."
	default:
		return "It is " + string(f.Row.Status) + ", for good."
	}
}
