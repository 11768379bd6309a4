package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
)

// payments returns the payments of a query, newest first, in pages of two.
func (s *suite) payments(t *testing.T, q order.PaymentQuery) (all []order.PaymentRecord) {
	t.Helper()
	for q.Limit = 2; ; q.Before = all[len(all)-1].EventID {
		page, err := s.store.Payments(t.Context(), q)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page), q.Limit)
		all = append(all, page...)
		if len(page) < q.Limit {
			return all
		}
	}
}

// told returns event, reason and amount of payments.
func told(ps []order.PaymentRecord) (all []string) {
	for _, p := range ps {
		all = append(all, fmt.Sprintf("%s %s %s %d %s", p.EventID, p.Outcome, p.Reason, p.AmountMinor, p.Currency))
	}
	return all
}

// refundsOf makes a sale with a payment for each reason to refund one, and one that
// pays. All but the wrong amount are of shopper a.
func (s *suite) refundsOf(t *testing.T) (sale order.Sale, by map[order.RefundReason]order.Payment) {
	t.Helper()
	sale = s.sale(t, 4, 4)
	os := map[order.RefundReason]order.Order{}
	for i, why := range []order.RefundReason{order.RefundCancelled, order.RefundPaid, order.RefundVoided, order.RefundWrongAmount, order.RefundRejected} {
		o := s.order(t, sale.ID, "a")
		o.Slot, o.Key = i%4, uint64(i)
		if why == order.RefundWrongAmount {
			o.ShopperID = "b"
		}
		s.settle(t, o)
		os[why] = o
	}
	s.cancel(t, os[order.RefundCancelled].ID)
	by = map[order.RefundReason]order.Payment{"": s.payment(t, os[order.RefundPaid])}
	require.Equal(t, order.OutcomePaid, s.pay(t, by[""]).Outcome)
	wrong := s.payment(t, os[order.RefundWrongAmount])
	wrong.AmountMinor--
	by[order.RefundWrongAmount] = wrong
	for range 2 {
		r, err := s.store.Pay(t.Context(), wrong)
		require.ErrorIs(t, err, order.ErrAmount)
		require.Equal(t, order.RefundWrongAmount, r.Reason)
	}
	_, err := s.operate(t, s.operator(t), sale, order.Voiding())
	require.NoError(t, err)
	for _, why := range []order.RefundReason{order.RefundCancelled, order.RefundPaid, order.RefundVoided, order.RefundRejected} {
		by[why] = s.payment(t, os[why])
		r := s.pay(t, by[why])
		require.Equal(t, []any{order.OutcomeRefundRequired, why}, []any{r.Outcome, r.Reason})
		require.Equal(t, s.read(t, sale.ID).Seq, r.RefundSeq)
		require.Zero(t, r.Verdict.Seq)
		r = s.pay(t, by[why])
		require.Equal(t, []any{order.OutcomeRefundRequired, why, uint64(0)}, []any{r.Outcome, r.Reason, r.RefundSeq}, "the same event again")
	}
	return sale, by
}

func refundsListed(t *testing.T, s *suite) {
	began := time.Now().Add(-2 * time.Second)
	sale, by := s.refundsOf(t)
	other, _ := s.refundsOf(t)
	all := s.payments(t, order.PaymentQuery{SaleID: sale.ID})
	require.Len(t, all, 6)
	for i, p := range all {
		require.Equal(t, by[p.Reason], p.Payment)
		require.Equal(t, sale.ID, p.SaleID)
		require.WithinRange(t, p.ReceivedAt, began, time.Now().Add(2*time.Second))
		require.Zero(t, p.RefundedAt)
		require.False(t, i > 0 && p.ReceivedAt.After(all[i-1].ReceivedAt), "newest first")
		require.Equal(t, p.Reason != "", p.RefundDue())
	}
	due := s.payments(t, order.PaymentQuery{SaleID: sale.ID, RefundDue: true})
	require.Len(t, due, 5)
	require.NotContains(t, told(due), told(all)[5], "which paid")
	require.Len(t, s.payments(t, order.PaymentQuery{SaleID: sale.ID, ShopperID: "a"}), 5)
	require.Len(t, s.payments(t, order.PaymentQuery{SaleID: sale.ID, ShopperID: "b", RefundDue: true}), 1)
	require.Len(t, s.payments(t, order.PaymentQuery{OrderID: by[""].OrderID}), 2)
	require.Subset(t, told(s.payments(t, order.PaymentQuery{RefundDue: true})), told(due), "among those of all sales")
	require.Subset(t, told(s.payments(t, order.PaymentQuery{})), append(told(all), told(s.payments(t, order.PaymentQuery{SaleID: other.ID}))...))
	_, err := s.store.Payments(t.Context(), order.PaymentQuery{Before: "evt-nobody", Limit: 1})
	require.ErrorIs(t, err, order.ErrNotFound)
	s.check(t, sale)
}

func refundsMarked(t *testing.T, s *suite) {
	operator := s.operator(t)
	sale, by := s.refundsOf(t)
	open, err := s.store.OpenRefunds(t.Context()) // of other tests, too
	require.NoError(t, err)
	require.GreaterOrEqual(t, open.Payments, 5)
	require.Less(t, open.Oldest, time.Hour)
	late := by[order.RefundCancelled]
	first, err := s.store.Refunded(t.Context(), operator, "c1", late.EventID)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), first.RefundedAt, time.Minute)
	again, err := s.store.Refunded(t.Context(), operator, "c2", late.EventID)
	require.NoError(t, err)
	require.Equal(t, first, again, "once")
	require.Equal(t, first, s.payments(t, order.PaymentQuery{OrderID: late.OrderID})[0])
	require.Len(t, s.payments(t, order.PaymentQuery{SaleID: sale.ID, RefundDue: true}), 4)
	require.Equal(t, order.OutcomeRefundRequired, s.pay(t, late).Outcome, "its outcome stays")

	_, err = s.store.Refunded(t.Context(), operator, "c3", by[""].EventID)
	require.ErrorIs(t, err, order.ErrConflict, "it paid its order")
	_, err = s.store.Refunded(t.Context(), operator, "c4", "evt-nobody")
	require.ErrorIs(t, err, order.ErrNotFound)
	entries := s.auditLog(t, order.AuditQuery{Actor: operator.Name})
	require.Len(t, entries, 1)
	e := entries[0]
	require.Equal(t, []any{"refunded", sale.ID, "payment " + late.EventID, "c1"}, []any{e.Action, e.SaleID, e.Target, e.Command})
	require.JSONEq(t, fmt.Sprintf(`{"order_id":"%d","amount_minor":9900,"currency":"CNY","reason":"cancelled"}`, late.OrderID), string(e.Before))
	require.Contains(t, string(e.After), "refunded_at")

	r, err := s.store.Report(t.Context(), sale.ID, nil)
	require.NoError(t, err)
	require.Equal(t, []order.RefundSum{{Currency: "CNY", Due: 4, DueMinor: 4*9900 - 1, Refunded: 1, RefundedMinor: 9900}}, r.Refunds)
}

func wrongAmountCorrected(t *testing.T, s *suite) {
	sale := s.sale(t, 10, 1)
	paid, gone, back := s.order(t, sale.ID, "a"), s.order(t, sale.ID, "b"), s.order(t, sale.ID, "c")
	s.settle(t, paid, gone, back)
	wrong := map[order.ID]order.Payment{}
	for _, o := range []order.Order{paid, gone, back} {
		p := s.payment(t, o)
		p.AmountMinor, p.Currency = 99, "USD"
		_, err := s.store.Pay(t.Context(), p)
		require.ErrorIs(t, err, order.ErrAmount)
		wrong[o.ID] = p
	}
	right := func(o order.Order) order.Payment {
		p := s.payment(t, o)
		p.EventID = wrong[o.ID].EventID
		return p
	}
	s.cancel(t, gone.ID)
	_, err := s.store.Refunded(t.Context(), order.Operator{}, "", wrong[back.ID].EventID)
	require.NoError(t, err)

	for range 2 {
		require.Equal(t, order.OutcomePaid, s.pay(t, right(paid)).Outcome)
	}
	r := s.pay(t, right(gone))
	require.Equal(t, []any{order.OutcomeRefundRequired, order.RefundCancelled}, []any{r.Outcome, r.Reason})
	_, err = s.store.Pay(t.Context(), right(back))
	require.ErrorIs(t, err, order.ErrConflict, "its money was returned")
	stolen := right(paid)
	stolen.OrderID = back.ID
	_, err = s.store.Pay(t.Context(), stolen)
	require.ErrorIs(t, err, order.ErrConflict)
	_, err = s.store.Pay(t.Context(), wrong[paid.ID])
	require.ErrorIs(t, err, order.ErrConflict, "the event has paid since: the wrong one changes nothing")

	require.ElementsMatch(t, []string{
		wrong[paid.ID].EventID + " paid  9900 CNY", wrong[gone.ID].EventID + " refund_required cancelled 9900 CNY",
		wrong[back.ID].EventID + " refund_required wrong_amount 99 USD",
	}, told(s.payments(t, order.PaymentQuery{SaleID: sale.ID})))
	require.Equal(t, order.StatusConfirmed, s.record(t, back.ID).Status)
	s.check(t, sale)
}

func eventsOfRefunds(t *testing.T, s *suite) {
	sale := s.sale(t, 1, 1)
	late, refused := s.order(t, sale.ID, "a"), s.order(t, sale.ID, "b")
	late.Reference = "cart"
	s.settle(t, late, refused)
	wrong := s.payment(t, late)
	wrong.AmountMinor++
	_, err := s.store.Pay(t.Context(), wrong)
	require.ErrorIs(t, err, order.ErrAmount)
	s.cancel(t, late.ID)
	for range 2 {
		s.pay(t, s.payment(t, late))
		s.pay(t, s.payment(t, refused))
	}
	wrong.AmountMinor--
	s.pay(t, wrong) // corrected, and too late

	es, _ := s.events(t, sale.ID, 1000)
	var said []string
	for _, e := range es {
		line := fmt.Sprintf("#%d %s %s %s %q %d x %d", e.Seq, e.ShopperID, e.Status, e.Reason, e.Reference, e.Quantity, e.UnitPrice)
		if e.Refund != nil {
			line += fmt.Sprintf(" to refund: %s, %d %s", e.Refund.Why, e.Refund.AmountMinor, e.Refund.Currency)
		}
		said = append(said, line)
	}
	require.Equal(t, []string{
		`#1 a confirmed  "cart" 1 x 9900`,
		`#1 b rejected sold_out "" 1 x 9900`,
		`#2 a confirmed  "cart" 1 x 9900 to refund: wrong_amount, 9901 CNY`,
		`#3 a cancelled  "cart" 1 x 9900`,
		`#4 a cancelled  "cart" 1 x 9900 to refund: cancelled, 9900 CNY`,
		`#5 b rejected sold_out "" 1 x 9900 to refund: rejected, 9900 CNY`,
		`#6 a cancelled  "cart" 1 x 9900 to refund: cancelled, 9900 CNY`,
		`#7 b rejected sold_out "" 1 x 9900 to refund: rejected, 9900 CNY`,
		`#8 a cancelled  "cart" 1 x 9900 to refund: cancelled, 9900 CNY`,
	}, said)
	again, _ := s.events(t, sale.ID, 1)
	require.Equal(t, es, again, "the same, although a payment was corrected since")
}
