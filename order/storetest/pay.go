package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
)

// paySoon returns a sale whose orders are due after a second.
func (s *suite) paySoon(t *testing.T, units, slots int) order.Sale {
	t.Helper()
	draft := s.draft(t, units, slots)
	draft.PayWithin = time.Second
	sale, err := s.store.CreateSale(t.Context(), draft)
	require.NoError(t, err)
	return sale
}

// payment returns the right payment of an order, with a new event.
func (s *suite) payment(t *testing.T, o order.Order) order.Payment {
	t.Helper()
	return order.Payment{EventID: "evt-" + s.id(t).String(), OrderID: o.ID, AmountMinor: 9900 * int64(o.Quantity), Currency: "CNY"}
}

func (s *suite) pay(t *testing.T, p order.Payment) order.Receipt {
	t.Helper()
	r, err := s.store.Pay(t.Context(), p)
	require.NoError(t, err)
	return r
}

// expired calls Expire until so many orders have expired, or the time is over.
func (s *suite) expired(t *testing.T, saleID int64, want int) (vs []order.Verdict, last order.Expiry) {
	t.Helper()
	for until := time.Now().Add(10 * time.Second); len(vs) < want && time.Now().Before(until); {
		e, err := s.store.Expire(t.Context(), saleID, last.Seq)
		require.NoError(t, err)
		require.GreaterOrEqual(t, e.Seq, last.Seq)
		require.LessOrEqual(t, len(e.Verdicts), 256)
		vs, last = append(vs, e.Verdicts...), e
		if e.Wait > 0 {
			time.Sleep(min(e.Wait+time.Millisecond, 50*time.Millisecond))
		}
	}
	require.Len(t, vs, want)
	return vs, last
}

// Due orders need not come first: a scan reads on, up to 1,024 orders or 256 changes,
// even if each has few orders.
func expireLooksAhead(t *testing.T, s *suite) {
	sale := s.paySoon(t, 300, 1)
	var os []order.Order
	for i := range 60 {
		o := s.order(t, sale.ID, fmt.Sprint("shopper-", i))
		s.settle(t, o)
		os = append(os, o)
	}
	require.Eventually(t, func() bool {
		return time.Now().After(s.record(t, os[len(os)-1].ID).PayBy.Add(50 * time.Millisecond))
	}, 10*time.Second, 20*time.Millisecond)
	e, err := s.store.Expire(t.Context(), sale.ID, 0)
	require.NoError(t, err)
	require.Len(t, e.Verdicts, len(os), "all in one scan")
}

func cancelGivesBack(t *testing.T, s *suite) {
	sale := s.sale(t, 10, 1)
	o := s.order(t, sale.ID, "a")
	o.Quantity, o.Key, o.Reference = 3, 7, "cart"
	_, err := s.store.Cancel(t.Context(), o.ID)
	require.ErrorIs(t, err, order.ErrNotFound, "no verdict yet")
	s.settle(t, o)
	v := s.cancel(t, o.ID)
	require.Equal(t, order.Verdict{Order: o, Status: order.StatusCancelled, Seq: 2, Returned: 1}, v)
	require.Equal(t, 10, s.available(t, sale.ID))

	v = s.cancel(t, o.ID)
	require.Equal(t, order.Verdict{Order: o, Status: order.StatusCancelled}, v, "done before: nothing to tell Redis")
	again := s.order(t, sale.ID, "a")
	requireVerdict(t, s.settle(t, again)[again.ID], order.StatusConfirmed, "")
	requireVerdict(t, s.settle(t, o)[o.ID], order.StatusCancelled, "")
	require.Equal(t, 9, s.available(t, sale.ID))
	require.Equal(t, uint64(3), s.check(t, sale)[sale.ID])
}

func cancelRefused(t *testing.T, s *suite) {
	sale := s.sale(t, 1, 1)
	paid, refused := s.order(t, sale.ID, "a"), s.order(t, sale.ID, "b")
	s.settle(t, paid, refused)
	s.pay(t, s.payment(t, paid))
	v, err := s.store.Cancel(t.Context(), paid.ID)
	require.ErrorIs(t, err, order.ErrConflict)
	requireVerdict(t, v, order.StatusPaid, "")
	v, err = s.store.Cancel(t.Context(), refused.ID)
	require.ErrorIs(t, err, order.ErrConflict)
	requireVerdict(t, v, order.StatusRejected, order.ReasonSoldOut)
	require.Equal(t, uint64(2), s.check(t, sale)[sale.ID])
}

func payOnce(t *testing.T, s *suite) {
	sale := s.sale(t, 10, 1)
	o := s.order(t, sale.ID, "a")
	o.Quantity = 2
	p := s.payment(t, o)
	_, err := s.store.Pay(t.Context(), p)
	require.ErrorIs(t, err, order.ErrNotFound, "no verdict yet")
	s.settle(t, o)
	r := s.pay(t, p)
	require.Equal(t, order.Receipt{Outcome: order.OutcomePaid, Verdict: order.Verdict{Order: o, Status: order.StatusPaid, Seq: 2}}, r)
	for range 2 {
		r = s.pay(t, p)
		require.Equal(t, order.OutcomePaid, r.Outcome, "the same event again")
		require.Equal(t, order.Verdict{Order: o, Status: order.StatusPaid}, r.Verdict)
	}
	surplus := s.payment(t, o)
	for range 2 {
		require.Equal(t, order.OutcomeRefundRequired, s.pay(t, surplus).Outcome)
	}
	require.Equal(t, 8, s.available(t, sale.ID))
	require.Equal(t, uint64(3), s.check(t, sale)[sale.ID], "the surplus payment is a change that changes nothing")
}

func payLate(t *testing.T, s *suite) {
	sale := s.sale(t, 1, 1)
	cancelled, refused, void := s.order(t, sale.ID, "a"), s.order(t, sale.ID, "b"), s.order(t, sale.ID, "c")
	s.settle(t, cancelled, refused)
	s.void(t, void)
	s.cancel(t, cancelled.ID)
	nobody := s.order(t, int64(s.id(t)), "d") // of no sale
	s.settle(t, nobody)
	for _, o := range []order.Order{cancelled, refused, void, nobody} {
		p := s.payment(t, o)
		for range 2 {
			r := s.pay(t, p)
			require.Equal(t, order.OutcomeRefundRequired, r.Outcome)
			require.Zero(t, r.Verdict.Seq)
			require.NotEqual(t, order.StatusPaid, r.Verdict.Status)
		}
	}
	require.Equal(t, 1, s.available(t, sale.ID))
	s.check(t, sale)
}

func payWrongly(t *testing.T, s *suite) {
	sale := s.sale(t, 10, 1)
	o := s.order(t, sale.ID, "a")
	other := s.order(t, sale.ID, "b")
	s.settle(t, o, other)
	right := s.payment(t, o)
	for name, bad := range map[string]struct {
		change func(*order.Payment)
		want   error
	}{
		"too little":       {func(p *order.Payment) { p.AmountMinor-- }, order.ErrAmount},
		"too much":         {func(p *order.Payment) { p.AmountMinor++ }, order.ErrAmount},
		"another currency": {func(p *order.Payment) { p.Currency = "USD" }, order.ErrAmount},
		"no currency":      {func(p *order.Payment) { p.Currency = "cny" }, order.ErrInvalid},
		"negative":         {func(p *order.Payment) { p.AmountMinor = -9900 }, order.ErrInvalid},
		"no event":         {func(p *order.Payment) { p.EventID = "" }, order.ErrInvalid},
		"event with space": {func(p *order.Payment) { p.EventID = "a b" }, order.ErrInvalid},
		"no order":         {func(p *order.Payment) { p.OrderID = 0 }, order.ErrInvalid},
		"unknown order":    {func(p *order.Payment) { p.OrderID = s.id(t) }, order.ErrNotFound},
	} {
		p := right
		bad.change(&p)
		_, err := s.store.Pay(t.Context(), p)
		require.ErrorIs(t, err, bad.want, name)
		require.Equal(t, order.StatusConfirmed, s.record(t, o.ID).Status, name)
	}
	require.Equal(t, order.OutcomePaid, s.pay(t, right).Outcome, "what was wrong is corrected")
	changed := right
	changed.AmountMinor--
	_, err := s.store.Pay(t.Context(), changed)
	require.ErrorIs(t, err, order.ErrConflict, "the event has paid the order")
	require.NotErrorIs(t, err, order.ErrAmount, "nobody shall believe that it is not paid")
	stolen := s.payment(t, other)
	stolen.EventID = right.EventID
	_, err = s.store.Pay(t.Context(), stolen)
	require.ErrorIs(t, err, order.ErrConflict, "an event is one payment")
	require.Equal(t, order.StatusConfirmed, s.record(t, other.ID).Status)
	s.cancel(t, other.ID)
	_, err = s.store.Pay(t.Context(), stolen)
	require.ErrorIs(t, err, order.ErrConflict, "nor is it the late payment of another order")
	s.check(t, sale)
}

func expireUnpaid(t *testing.T, s *suite) {
	sale, long := s.paySoon(t, 1000, 1), s.sale(t, 10, 1)
	var batch []order.Order
	for i := range 600 {
		o := s.order(t, sale.ID, fmt.Sprint("s", i))
		o.Quantity = 1 + i%2
		batch = append(batch, o)
	}
	s.settleAll(t, batch)
	s.settle(t, s.order(t, long.ID, "a"))
	e, err := s.store.Expire(t.Context(), sale.ID, 0)
	require.NoError(t, err)
	if len(e.Verdicts) == 0 { // the machine is quick enough
		require.Zero(t, e.Seq)
		require.Positive(t, e.Wait)
		require.LessOrEqual(t, e.Wait, time.Second)
	}
	for _, o := range batch[:100] {
		s.pay(t, s.payment(t, o))
	}
	s.cancel(t, batch[100].ID)
	vs, last := s.expired(t, sale.ID, 499)
	require.Equal(t, order.StatusCancelled, vs[0].Status)
	require.NotZero(t, vs[0].Seq)
	for last.Wait == 0 {
		last, err = s.store.Expire(t.Context(), sale.ID, last.Seq)
		require.NoError(t, err)
		require.Empty(t, last.Verdicts)
	}
	require.Equal(t, s.check(t, sale)[sale.ID], last.Seq, "nothing is left to read")
	require.Equal(t, time.Second, last.Wait)
	require.Equal(t, 850, s.available(t, sale.ID))
	unpaid, err := s.store.Unpaid(t.Context(), sale.ID)
	require.NoError(t, err)
	require.False(t, unpaid)

	e, err = s.store.Expire(t.Context(), long.ID, 0)
	require.NoError(t, err)
	require.Empty(t, e.Verdicts)
	require.InDelta(t, 10*time.Minute, e.Wait, float64(20*time.Second))
	unsold := s.sale(t, 1, 1)
	e, err = s.store.Expire(t.Context(), unsold.ID, 0)
	require.NoError(t, err)
	require.Equal(t, order.Expiry{Wait: unsold.PayWithin}, e, "an order of this moment has all its time")
	unpaid, err = s.store.Unpaid(t.Context(), long.ID)
	require.NoError(t, err)
	require.True(t, unpaid)
}

// oneWins runs payments, cancellations, expiry, redeliveries and new orders for the same
// slots at the same time.
func oneWins(t *testing.T, s *suite) {
	sale := s.paySoon(t, 60, 2)
	var batch []order.Order
	for i := range 40 {
		o := s.order(t, sale.ID, fmt.Sprint("s", i/2))
		o.Slot, o.Key = i%2, uint64(i%2)
		batch = append(batch, o)
	}
	s.settle(t, batch...)
	time.Sleep(900 * time.Millisecond) // half of what follows is in time
	r := &race{suite: s, changed: map[order.ID]order.Status{}}
	var wg sync.WaitGroup
	for _, o := range batch {
		p := s.payment(t, o)
		fresh := s.order(t, sale.ID, o.ShopperID)
		fresh.Slot, fresh.Key = o.Slot, 9
		for _, act := range []func(){
			func() { r.pay(t, p) }, func() { r.pay(t, p) }, func() { r.pay(t, s.payment(t, o)) },
			func() { r.cancel(t, o.ID) },
			func() { r.expire(t, sale.ID) },
			func() { r.settle(t, o, fresh) },
		} {
			wg.Go(func() { time.Sleep(rand.N(250 * time.Millisecond)); act() })
		}
	}
	wg.Wait()
	for _, o := range batch { // exactly one call changed it, and returned that
		require.NotEmpty(t, r.changed[o.ID])
		require.Equal(t, r.changed[o.ID], s.record(t, o.ID).Status)
	}
	s.check(t, sale)
}

type race struct {
	*suite

	mu      sync.Mutex
	changed map[order.ID]order.Status
}

// won records who changed an order: it must be exactly one.
func (r *race) won(t *testing.T, v order.Verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v.Seq == 0 || v.Status == order.StatusConfirmed || v.Status == order.StatusRejected {
		return
	}
	if was, twice := r.changed[v.ID]; twice {
		t.Errorf("order %d: %s, then %s", v.ID, was, v.Status)
	}
	r.changed[v.ID] = v.Status
}

func (r *race) pay(t *testing.T, p order.Payment) {
	receipt, err := r.store.Pay(t.Context(), p)
	if err != nil {
		t.Error(err)
	}
	if receipt.Verdict.Seq > 0 && receipt.Outcome != order.OutcomePaid {
		t.Errorf("order %d was paid, and the payment's outcome is %s", p.OrderID, receipt.Outcome)
	}
	r.won(t, receipt.Verdict)
}

func (r *race) cancel(t *testing.T, id order.ID) {
	v, err := r.store.Cancel(t.Context(), id)
	if err != nil && !errors.Is(err, order.ErrConflict) {
		t.Error(err)
	}
	r.won(t, v)
}

func (r *race) expire(t *testing.T, saleID int64) {
	e, err := r.store.Expire(t.Context(), saleID, 0)
	if err != nil {
		t.Error(err)
	}
	for _, v := range e.Verdicts {
		r.won(t, v)
	}
}

func (r *race) settle(t *testing.T, os ...order.Order) {
	if _, err := r.store.Settle(t.Context(), os); err != nil {
		t.Error(err)
	}
}
