package memory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"seckill/order"
)

// Cancel is as in order/mysql.
func (s *Store) Cancel(ctx context.Context, id order.ID) (order.Verdict, error) {
	return s.CancelAs(ctx, order.Operator{}, "", id)
}

// CancelAs is as in order/mysql.
func (s *Store) CancelAs(ctx context.Context, by order.Operator, cmd string, id order.ID) (order.Verdict, error) {
	if err := ctx.Err(); err != nil {
		return order.Verdict{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.orders[id]
	switch {
	case !ok:
		return order.Verdict{}, fmt.Errorf("cancel %d: %w", id, order.ErrNotFound)
	case r.Status != order.StatusConfirmed:
		return r.Verdict(), r.CheckCancelled()
	}
	v := s.cancel(r.SaleID, []order.ID{id}, by.IsZero())[0]
	s.note(order.CancelEntry(by, cmd, v))
	return v, nil
}

// cancel cancels confirmed orders of a sale, in one change. They count as returned by
// their shoppers, or not.
func (s *Store) cancel(saleID int64, ids []order.ID, returned bool) []order.Verdict {
	sale := s.sales[saleID]
	var vs []*order.Verdict
	for _, id := range ids {
		r := s.orders[id]
		r.Status, r.DecidedAt = order.StatusCancelled, now()
		sale.Available += r.Quantity
		v := r.Verdict()
		vs = append(vs, &v)
	}
	if returned {
		s.count(saleID, vs)
	}
	s.record(sale, vs)
	return order.Settled(nil, vs)
}

// count counts cancelled orders of one sale, in ID order, as returned by their shoppers.
func (s *Store) count(saleID int64, vs []*order.Verdict) {
	returned := make(map[string]int)
	for _, v := range vs {
		of := shopper{saleID, v.ShopperID}
		r := s.returns[of]
		r = order.Returns{ShopperID: v.ShopperID, Orders: min(r.Orders+1, order.MaxReturns), Units: r.Units + int64(v.Quantity), At: now()}
		s.returns[of], returned[v.ShopperID] = r, r.Orders
	}
	order.Number(vs, returned)
}

// Expire is as in order/mysql.
func (s *Store) Expire(ctx context.Context, saleID int64, after uint64) (order.Expiry, error) {
	cs, err := s.Changes(ctx, saleID, after, order.ExpiryChanges)
	if err != nil {
		return order.Expiry{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(cs) == 0 {
		sale, err := s.sale(saleID)
		return order.NothingToExpire(after, sale.PayWithin), err
	}
	page, confirmed := order.ExpiryPage(cs)
	left := make(map[order.ID]time.Duration)
	for _, id := range confirmed {
		if r := s.orders[id]; r.Status == order.StatusConfirmed {
			left[id] = s.sales[saleID].TimeToPay(*r, time.Now())
		}
	}
	e, due := order.PlanExpiry(after, page, left)
	if len(due) > 0 {
		e.Verdicts = s.cancel(saleID, due, !s.sales[saleID].Voided)
	}
	return e, nil
}

// ExtendPage is as in order/mysql.
func (s *Store) ExtendPage(_ context.Context, sale order.Sale, after order.ID) (next order.ID, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids, next := s.next(order.FirstOrder(sale.ID, after), order.ExtendPage)
	for _, id := range ids {
		r := s.orders[id]
		if by := r.DecidedAt.Add(sale.PayWithin); r.SaleID == sale.ID && r.Status == order.StatusConfirmed && by.After(r.PayBy) {
			r.PayBy = by
		}
	}
	return next, nil
}

// Extended is as in order/mysql.
func (s *Store) Extended(_ context.Context, sale order.Sale) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now, ok := s.sales[sale.ID]; ok && now.PayWithin == sale.PayWithin {
		now.Extending = false
	}
	return nil
}

// Pay is as in order/mysql.
func (s *Store) Pay(ctx context.Context, p order.Payment) (order.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return order.Receipt{}, err
	}
	if err := p.Validate(); err != nil {
		return order.Receipt{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.orders[p.OrderID]
	if !ok {
		return order.Receipt{}, fmt.Errorf("pay %d: %w", p.OrderID, order.ErrNotFound)
	}
	sale := s.sales[r.SaleID]
	receipt := order.Receipt{Outcome: order.OutcomePaid, Reason: p.RefundReason(*r, sale)}
	if receipt.Reason != "" {
		receipt.Outcome = order.OutcomeRefundRequired
	}
	receipt.Verdict = r.Verdict()
	row := order.PaymentRecord{
		Payment: p, SaleID: r.SaleID, ShopperID: r.ShopperID, Outcome: receipt.Outcome, Reason: receipt.Reason, ReceivedAt: now(),
	}
	wrong := p.CheckAmount(*r, sale)
	if before, ok := s.payments[p.EventID]; ok {
		switch {
		case before.CorrectedBy(p, receipt.Reason):
			row.ReceivedAt = before.ReceivedAt
		case wrong != nil && before.Reason == order.RefundWrongAmount:
			return receipt, wrong
		default:
			receipt.Outcome, receipt.Reason = before.Outcome, before.Reason
			return receipt, p.Repeats(before.Payment)
		}
	}
	s.payments[p.EventID] = row
	switch {
	case receipt.Reason == "":
		r.Status, r.DecidedAt = order.StatusPaid, now()
		receipt.Verdict = r.Verdict()
		s.record(sale, []*order.Verdict{&receipt.Verdict})
	case sale != nil:
		sale.Seq = s.log(order.Change{SaleID: sale.ID, Refund: order.NewRefund(p, receipt.Reason, *r)})
		receipt.RefundSeq = sale.Seq
	}
	return receipt, wrong
}

// Payments is as in order/mysql.
func (s *Store) Payments(_ context.Context, q order.PaymentQuery) ([]order.PaymentRecord, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, ok := s.payments[q.Before]
	if q.Before != "" && !ok {
		return nil, fmt.Errorf("payment %s: %w", q.Before, order.ErrNotFound)
	}
	newestFirst := func(a, b order.PaymentRecord) int {
		return cmp.Or(b.ReceivedAt.Compare(a.ReceivedAt), cmp.Compare(b.EventID, a.EventID))
	}
	var found []order.PaymentRecord
	for _, p := range s.payments {
		if (q.SaleID == 0 || p.SaleID == q.SaleID) && (q.ShopperID == "" || p.ShopperID == q.ShopperID) && (q.OrderID == 0 || p.OrderID == q.OrderID) &&
			(!q.RefundDue || p.RefundDue()) && (q.Before == "" || newestFirst(before, p) < 0) {
			found = append(found, p)
		}
	}
	slices.SortFunc(found, newestFirst)
	return found[:min(len(found), q.Limit)], nil
}

// Refunded is as in order/mysql.
func (s *Store) Refunded(_ context.Context, by order.Operator, cmd, event string) (order.PaymentRecord, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.payments[event]
	if !ok {
		return p, fmt.Errorf("payment %s: %w", event, order.ErrNotFound)
	}
	if err := p.CheckRefund(); err != nil || !p.RefundDue() {
		return p, err
	}
	p.RefundedAt = now()
	s.payments[event] = p
	s.note(p.RefundedEntry(by, cmd))
	return p, nil
}

// OpenRefunds is as in order/mysql, without its bound.
func (s *Store) OpenRefunds(context.Context) (n order.RefundCount, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.payments {
		if p.RefundDue() {
			n.Payments++
			n.Oldest = max(n.Oldest, time.Since(p.ReceivedAt))
		}
	}
	return n, nil
}

// AdoptPayments finds nothing: no other version has recorded payments here.
func (s *Store) AdoptPayments(context.Context) (int, error) { return 0, nil }

// Unpaid is as in order/mysql.
func (s *Store) Unpaid(_ context.Context, saleID int64) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.orders {
		if r.SaleID == saleID && r.Status == order.StatusConfirmed {
			return true, nil
		}
	}
	return false, nil
}
