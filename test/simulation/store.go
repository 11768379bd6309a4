package simulation

import (
	"context"
	"fmt"
	"time"

	"seckill/order"
	"seckill/order/memory"
)

// store is MySQL as one process reaches it: each method is the in-memory store's, over
// a connection on which a transaction may fail before its COMMIT, or its outcome be lost
// after it.
type store struct {
	inner *memory.Store
	p     *process
}

func ask[T any](ctx context.Context, s *store, op string, writes bool, effect func() (T, error)) (T, error) {
	var v T
	err := s.p.call(ctx, s.trouble(op, writes), "mysql "+op, func() (err error) { v, err = effect(); return err })
	if lost(err) {
		var none T
		return none, err
	}
	return v, err
}

func (s *store) trouble(op string, writes bool) (t trouble) {
	_, t.refused = s.p.strikes(storeRefused)
	if writes {
		_, t.lost = s.p.strikes(storeLost)
	}
	if op == "sales" { // read under a lock, see script
		t.instant = true
		return t
	}
	if f, ok := s.p.strikes(storeSlow); ok {
		t.slow = f.delay
	}
	if f, ok := s.p.strikes(storeLate); ok {
		t.late = f.delay
	}
	return t
}

func (s *store) did(op string, vs ...order.Verdict) {
	for _, v := range vs {
		s.p.w.trace.notef(s.p.name, "mysql %s: %d of %s is %s %s (change %d)", op, v.ID, v.ShopperID, v.Status, v.Reason, v.Seq)
	}
}

const reads, writes = false, true

func (s *store) Ping(ctx context.Context) error {
	_, err := ask(ctx, s, "ping", reads, func() (int, error) { return 0, s.inner.Ping(ctx) })
	return err
}

func (s *store) NextNodeID(ctx context.Context) (int64, error) {
	return ask(ctx, s, "worker", writes, func() (int64, error) { return s.inner.NextNodeID(ctx) })
}

func (s *store) LastNodeID(ctx context.Context) (int64, error) {
	return ask(ctx, s, "last worker", reads, func() (int64, error) { return s.inner.LastNodeID(ctx) })
}

func (s *store) Sale(ctx context.Context, id int64) (order.Sale, error) {
	return ask(ctx, s, "sale", reads, func() (order.Sale, error) { return s.inner.Sale(ctx, id) })
}

func (s *store) Sales(ctx context.Context) ([]order.Sale, error) {
	return ask(ctx, s, "sales", reads, func() ([]order.Sale, error) { return s.inner.Sales(ctx) })
}

func (s *store) ClosedSales(ctx context.Context, before int64, limit int) ([]int64, error) {
	return ask(ctx, s, "closed sales", reads, func() ([]int64, error) { return s.inner.ClosedSales(ctx, before, limit) })
}

func (s *store) CountDeadLetters(ctx context.Context) (order.DeadLetterCount, error) {
	return ask(ctx, s, "letters", reads, func() (order.DeadLetterCount, error) { return s.inner.CountDeadLetters(ctx) })
}

func (s *store) OpenRefunds(ctx context.Context) (order.RefundCount, error) {
	return ask(ctx, s, "refunds", reads, func() (order.RefundCount, error) { return s.inner.OpenRefunds(ctx) })
}

func (s *store) AdoptPayments(ctx context.Context) (int, error) {
	return ask(ctx, s, "adopt payments", writes, func() (int, error) { return s.inner.AdoptPayments(ctx) })
}

func (s *store) Operate(ctx context.Context, op order.Operation) (order.Sale, error) {
	return ask(ctx, s, "operate", writes, func() (order.Sale, error) { return s.inner.Operate(ctx, op) })
}

func (s *store) SetSaleState(ctx context.Context, cmd string, id int64, to order.SaleState) (order.Sale, error) {
	return ask(ctx, s, "state", writes, func() (order.Sale, error) { return s.inner.SetSaleState(ctx, cmd, id, to) })
}

func (s *store) RaiseEpoch(ctx context.Context, saleID int64) (uint64, error) {
	return ask(ctx, s, "epoch", writes, func() (uint64, error) { return s.inner.RaiseEpoch(ctx, saleID) })
}

// Snapshot is taken at once, and handed over as slowly as the caller takes it.
func (s *store) Snapshot(ctx context.Context, saleID int64, page func([]order.Record) error, returns func([]order.Returns) error) (order.Sale, error) {
	var records []order.Record
	var returned []order.Returns
	sale, err := ask(ctx, s, "snapshot", reads, func() (order.Sale, error) {
		return s.inner.Snapshot(ctx, saleID,
			func(rs []order.Record) error { records = append(records, rs...); return nil },
			func(rs []order.Returns) error { returned = append(returned, rs...); return nil })
	})
	if err == nil && len(records) > 0 {
		err = page(records)
	}
	if err == nil && len(returned) > 0 {
		err = returns(returned)
	}
	return sale, err
}

func (s *store) Changes(ctx context.Context, saleID int64, after uint64, limit int) ([]order.Change, error) {
	return ask(ctx, s, "changes", reads, func() ([]order.Change, error) { return s.inner.Changes(ctx, saleID, after, limit) })
}

func (s *store) Tally(ctx context.Context, saleID int64) (order.Tally, error) {
	return ask(ctx, s, "tally", reads, func() (order.Tally, error) { return s.inner.Tally(ctx, saleID) })
}

func (s *store) Settle(ctx context.Context, batch []order.Order) ([]order.Verdict, error) {
	return ask(ctx, s, "settle", writes, func() ([]order.Verdict, error) {
		vs, err := s.inner.Settle(ctx, batch)
		s.did("settle", vs...)
		return vs, err
	})
}

func (s *store) Void(ctx context.Context, o order.Order) (order.Verdict, error) {
	return ask(ctx, s, "void", writes, func() (order.Verdict, error) {
		v, err := s.inner.Void(ctx, o)
		s.did("void", v)
		return v, err
	})
}

func (s *store) AddDeadLetter(ctx context.Context, d order.DeadLetter) error {
	_, err := ask(ctx, s, "bury", writes, func() (int, error) { return 0, s.inner.AddDeadLetter(ctx, d) })
	return err
}

func (s *store) Find(ctx context.Context, ids []order.ID) ([]order.Record, error) {
	return ask(ctx, s, "find", reads, func() ([]order.Record, error) { return s.inner.Find(ctx, ids) })
}

func (s *store) Cancel(ctx context.Context, id order.ID) (order.Verdict, error) {
	return ask(ctx, s, "cancel", writes, func() (order.Verdict, error) {
		v, err := s.inner.Cancel(ctx, id)
		s.did("cancel", v)
		return v, err
	})
}

func (s *store) Pay(ctx context.Context, p order.Payment) (order.Receipt, error) {
	return ask(ctx, s, "pay", writes, func() (order.Receipt, error) {
		r, err := s.inner.Pay(ctx, p)
		s.did("pay", r.Verdict)
		return r, err
	})
}

func (s *store) Expire(ctx context.Context, saleID int64, after uint64) (order.Expiry, error) {
	return ask(ctx, s, "expire", writes, func() (order.Expiry, error) {
		e, err := s.inner.Expire(ctx, saleID, after)
		s.did("expire", e.Verdicts...)
		return e, err
	})
}

func (s *store) ExtendPage(ctx context.Context, sale order.Sale, after order.ID) (order.ID, error) {
	return ask(ctx, s, "extend", writes, func() (order.ID, error) { return s.inner.ExtendPage(ctx, sale, after) })
}

func (s *store) Extended(ctx context.Context, sale order.Sale) error {
	_, err := ask(ctx, s, "extended", writes, func() (int, error) { return 0, s.inner.Extended(ctx, sale) })
	return err
}

func (s *store) Unpaid(ctx context.Context, saleID int64) (bool, error) {
	return ask(ctx, s, "unpaid", reads, func() (bool, error) { return s.inner.Unpaid(ctx, saleID) })
}

func (s *store) Verdicts(ctx context.Context, os []order.Order) (decided []order.Verdict, undecided []order.Order, err error) {
	decided, err = ask(ctx, s, "verdicts", reads, func() (vs []order.Verdict, err error) {
		vs, undecided, err = s.inner.Verdicts(ctx, os)
		return vs, err
	})
	if err != nil {
		undecided = nil
	}
	return decided, undecided, err
}

func (s *store) LiveOrders(ctx context.Context, saleID int64, after order.SlotCursor, limit int) (page []order.Record, next order.SlotCursor, err error) {
	page, err = ask(ctx, s, "live orders", reads, func() (rs []order.Record, err error) {
		rs, next, err = s.inner.LiveOrders(ctx, saleID, after, limit)
		return rs, err
	})
	return page, next, err
}

func (s *store) ByShopper(ctx context.Context, saleID int64, shopper string, before order.ID, limit int) ([]order.Record, error) {
	return ask(ctx, s, "by shopper", reads, func() ([]order.Record, error) {
		return s.inner.ByShopper(ctx, saleID, shopper, before, limit)
	})
}

func (s *store) EventsBehind(ctx context.Context, closed bool, limit int) ([]order.EventCursor, error) {
	return ask(ctx, s, "events behind", reads, func() ([]order.EventCursor, error) { return s.inner.EventsBehind(ctx, closed, limit) })
}

func (s *store) EventPage(ctx context.Context, saleID int64, after uint64, orders int) (es []order.Event, through uint64, more bool, err error) {
	es, err = ask(ctx, s, "events", reads, func() (es []order.Event, err error) {
		es, through, more, err = s.inner.EventPage(ctx, saleID, after, orders)
		return es, err
	})
	return es, through, more, err
}

func (s *store) HoldEvents(ctx context.Context, saleID int64, holder string, lease time.Duration) (seq uint64, held bool, err error) {
	held, err = ask(ctx, s, "hold events", writes, func() (held bool, err error) {
		seq, held, err = s.inner.HoldEvents(ctx, saleID, holder, lease)
		return held, err
	})
	return seq, held, err
}

func (s *store) MoveEvents(ctx context.Context, saleID int64, holder string, seq uint64, lease time.Duration) error {
	_, err := ask(ctx, s, "move events", writes, func() (int, error) { return 0, s.inner.MoveEvents(ctx, saleID, holder, seq, lease) })
	return err
}

func (s *store) ReleaseEvents(ctx context.Context, saleID int64, holder string) error {
	_, err := ask(ctx, s, "release events", writes, func() (int, error) { return 0, s.inner.ReleaseEvents(ctx, saleID, holder) })
	return err
}

// saleOf makes the sale of terms.
func saleOf(id int64, t terms) order.Sale {
	now := time.Now().UTC().Truncate(time.Second)
	return order.Sale{
		ID: id, ExternalID: fmt.Sprintf("sale-%d", id), Title: "Simulated", SKU: "s", PriceMinor: price, Currency: "CNY",
		Total: t.total, OrdersPerShopper: t.orders, UnitsPerOrder: t.units, AttemptsPerShopper: t.attempts,
		StartsAt: now.Add(-2 * time.Hour), EndsAt: now.Add(24 * time.Hour), PayWithin: t.payWithin,
	}
}

const price = 9900
