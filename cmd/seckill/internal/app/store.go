package app

import (
	"context"
	"time"

	"seckill/order"
)

// store is the database of orders as the roles use it. order/mysql and order/memory
// implement it; each package that uses it declares the few methods that it calls.
type store interface { //nolint:interfacebloat // the parts of one store
	nodeIDs
	saleStore
	orderStore
	paymentStore
	eventStore
}

type nodeIDs interface {
	counters
	Ping(ctx context.Context) error
}

type saleStore interface {
	saleReader
	saleChanger
	saleLog
}

type saleReader interface {
	Sale(ctx context.Context, id int64) (order.Sale, error)
	Sales(ctx context.Context) ([]order.Sale, error)
	ClosedSales(ctx context.Context, before int64, limit int) ([]int64, error)
}

type saleChanger interface {
	Operate(ctx context.Context, op order.Operation) (order.Sale, error)
	SetSaleState(ctx context.Context, cmd string, id int64, to order.SaleState) (order.Sale, error)
	RaiseEpoch(ctx context.Context, saleID int64) (uint64, error)
}

type saleLog interface {
	Snapshot(ctx context.Context, saleID int64, page func([]order.Record) error, returns func([]order.Returns) error) (order.Sale, error)
	Changes(ctx context.Context, saleID int64, after uint64, limit int) ([]order.Change, error)
	Tally(ctx context.Context, saleID int64) (order.Tally, error)
}

type orderStore interface {
	orderReader
	orderRows
	settler
}

type orderReader interface {
	Find(ctx context.Context, ids []order.ID) ([]order.Record, error)
	ByShopper(ctx context.Context, saleID int64, shopper string, before order.ID, limit int) ([]order.Record, error)
	Verdicts(ctx context.Context, os []order.Order) ([]order.Verdict, []order.Order, error)
}

type orderRows interface {
	LiveOrders(ctx context.Context, saleID int64, after order.SlotCursor, limit int) ([]order.Record, order.SlotCursor, error)
	CountDeadLetters(ctx context.Context) (order.DeadLetterCount, error)
}

type settler interface {
	Settle(ctx context.Context, batch []order.Order) ([]order.Verdict, error)
	Void(ctx context.Context, o order.Order) (order.Verdict, error)
	AddDeadLetter(ctx context.Context, d order.DeadLetter) error
}

type paymentStore interface {
	payments
	deadlines
	refunds
}

type refunds interface {
	OpenRefunds(ctx context.Context) (order.RefundCount, error)
	AdoptPayments(ctx context.Context) (int, error)
}

type payments interface {
	Pay(ctx context.Context, p order.Payment) (order.Receipt, error)
	Cancel(ctx context.Context, id order.ID) (order.Verdict, error)
	Expire(ctx context.Context, saleID int64, after uint64) (order.Expiry, error)
}

type deadlines interface {
	Unpaid(ctx context.Context, saleID int64) (bool, error)
	ExtendPage(ctx context.Context, sale order.Sale, after order.ID) (next order.ID, err error)
	Extended(ctx context.Context, sale order.Sale) error
}

type eventStore interface {
	eventLog
	eventCursors
}

type eventLog interface {
	EventsBehind(ctx context.Context, closed bool, limit int) ([]order.EventCursor, error)
	EventPage(ctx context.Context, saleID int64, after uint64, orders int) (es []order.Event, through uint64, more bool, err error)
}

type eventCursors interface {
	HoldEvents(ctx context.Context, saleID int64, holder string, lease time.Duration) (seq uint64, held bool, err error)
	MoveEvents(ctx context.Context, saleID int64, holder string, seq uint64, lease time.Duration) error
	ReleaseEvents(ctx context.Context, saleID int64, holder string) error
}

// operatorStore is a store as operators use it.
type operatorStore interface { //nolint:interfacebloat // the parts of one store
	store
	saleAdmin
	saleNames
	orderAdmin
	auditLog
	deadLetters
	paymentAdmin
	limitStore
}

type saleAdmin interface {
	Create(ctx context.Context, c order.Creation) (order.Sale, error)
	SalesBefore(ctx context.Context, before int64, limit int) ([]order.Sale, error)
	Report(ctx context.Context, saleID int64, page func([]order.Record) error) (order.Report, error)
}

type saleNames interface {
	SalesNamed(ctx context.Context, n order.SaleName) ([]order.Sale, error)
}

type orderAdmin interface {
	Orders(ctx context.Context, q order.Query) (found []order.Record, next order.ID, err error)
	OfShopper(ctx context.Context, saleIDs []int64, shopper string, before order.ID, limit int) ([]order.Record, error)
	CancelAs(ctx context.Context, by order.Operator, cmd string, id order.ID) (order.Verdict, error)
}

type auditLog interface {
	AuditLog(ctx context.Context, q order.AuditQuery) ([]order.AuditEntry, error)
	Note(ctx context.Context, e order.AuditEntry) (fresh bool, err error)
}

type deadLetters interface {
	DeadLetters(ctx context.Context, q order.DeadLetterQuery) ([]order.DeadLetter, error)
	DeadLettersNamed(ctx context.Context, name string) ([]order.DeadLetter, error)
	DiscardAs(ctx context.Context, by order.Operator, cmd string, d order.DeadLetter) error
}

type paymentAdmin interface {
	Payments(ctx context.Context, q order.PaymentQuery) ([]order.PaymentRecord, error)
	Refunded(ctx context.Context, by order.Operator, cmd, event string) (order.PaymentRecord, error)
}

type limitStore interface {
	Limits(ctx context.Context) (order.Limits, error)
	ChangeLimits(ctx context.Context, c order.LimitsChange) (order.Limits, error)
}

// guardedStore reads MySQL for polls, through its breaker.
type guardedStore struct {
	store
	guard func(func() error) error
}

func (g guardedStore) ByShopper(ctx context.Context, saleID int64, shopper string, before order.ID, limit int) (rs []order.Record, err error) {
	err = g.guard(func() error { rs, err = g.store.ByShopper(ctx, saleID, shopper, before, limit); return err })
	return rs, err
}

func (g guardedStore) Verdicts(ctx context.Context, os []order.Order) (decided []order.Verdict, undecided []order.Order, err error) {
	err = g.guard(func() error { decided, undecided, err = g.store.Verdicts(ctx, os); return err })
	return decided, undecided, err
}

func (g guardedStore) Sale(ctx context.Context, id int64) (s order.Sale, err error) {
	err = g.guard(func() error { s, err = g.store.Sale(ctx, id); return err })
	return s, err
}

func (g guardedStore) Void(ctx context.Context, o order.Order) (v order.Verdict, err error) {
	err = g.guard(func() error { v, err = g.store.Void(ctx, o); return err })
	return v, err
}
