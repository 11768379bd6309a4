package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
)

func voidCancels(t *testing.T, s *suite) {
	by, made, other := s.operator(t), s.sale(t, 700, 1), s.sale(t, 10, 1)
	_, err := s.operate(t, by, made, order.Moving("open", order.SaleOpen))
	require.NoError(t, err)
	batch := s.orders(t, made.ID, 600)
	s.settleAll(t, batch)
	kept := s.order(t, other.ID, "a")
	s.settle(t, kept)
	for _, o := range batch[:100] {
		s.pay(t, s.payment(t, o))
	}
	e, err := s.store.Expire(t.Context(), made.ID, 0)
	require.NoError(t, err)
	require.Empty(t, e.Verdicts, "ten minutes are left")
	void := order.Operation{Command: s.id(t).String(), By: by, SaleID: made.ID, Action: order.Voiding()}
	for range 2 {
		sale, err := s.store.Operate(t.Context(), void)
		require.NoError(t, err)
		require.Equal(t, []any{order.SaleEnded, true, uint64(3)}, []any{sale.State, sale.Voided, sale.Version})
	}
	time.Sleep(1100 * time.Millisecond) // what is remembered of a sale
	require.Equal(t, order.OutcomeRefundRequired, s.pay(t, s.payment(t, batch[599])).Outcome, "money that comes now goes back")
	require.Equal(t, order.StatusConfirmed, s.record(t, batch[599].ID).Status)
	late := s.order(t, made.ID, "late") // was in the queue
	s.settle(t, late)
	s.expired(t, made.ID, 501)
	require.Equal(t, order.StatusCancelled, s.record(t, late.ID).Status)
	require.Equal(t, order.StatusPaid, s.record(t, batch[0].ID).Status, "what is paid stays")
	require.Equal(t, order.StatusConfirmed, s.record(t, kept.ID).Status, "so do other sales")
	require.Equal(t, 600, s.available(t, made.ID))
	s.check(t, made)

	closed := s.move(t, other.ID, order.SaleEnded, order.SaleClosed)
	_, err = s.operate(t, by, closed, order.Voiding())
	require.ErrorIs(t, err, order.ErrConflict)
}

func extendHolds(t *testing.T, s *suite) {
	by, made := s.operator(t), s.paySoon(t, 1000, 1)
	_, err := s.operate(t, by, made, order.Moving("open", order.SaleOpen))
	require.NoError(t, err)
	batch := s.orders(t, made.ID, 400)
	s.settleAll(t, batch)
	s.pay(t, s.payment(t, batch[1]))
	sale, err := s.operate(t, by, made, order.Extending(0, time.Hour))
	require.NoError(t, err)
	require.Equal(t, time.Hour+time.Second, sale.PayWithin)
	require.True(t, sale.Extending)
	for _, a := range []order.Action{order.Extending(time.Minute, 0), order.Extending(0, -time.Minute)} {
		_, err = s.operate(t, by, made, a)
		require.ErrorIs(t, err, order.ErrConflict, "nobody gets less time")
	}
	time.Sleep(1200 * time.Millisecond)
	require.True(t, s.record(t, batch[0].ID).PayBy.Before(time.Now()), "its row says that it is over")
	e, err := s.store.Expire(t.Context(), made.ID, 0)
	require.NoError(t, err)
	require.Empty(t, e.Verdicts)
	require.InDelta(t, time.Hour, e.Wait, float64(time.Minute))

	pages := 0
	for next := order.ID(0); pages == 0 || next != 0; pages++ {
		next, err = s.store.ExtendPage(t.Context(), sale, next)
		require.NoError(t, err)
	}
	require.GreaterOrEqual(t, pages, 2)
	for _, i := range []int{0, 399} {
		r := s.record(t, batch[i].ID)
		require.Equal(t, r.DecidedAt.Add(sale.PayWithin), r.PayBy)
	}
	paid := s.record(t, batch[1].ID)
	require.True(t, paid.PayBy.Before(paid.DecidedAt.Add(time.Minute)), "what is paid has nothing to be extended")
	earlier := sale
	earlier.PayWithin--
	earlier.PayWithin -= time.Second
	require.NoError(t, s.store.Extended(t.Context(), earlier), "of another extension: it says nothing")
	read := s.read(t, made.ID)
	require.True(t, read.Extending)
	require.NoError(t, s.store.Extended(t.Context(), sale))
	read = s.read(t, made.ID)
	require.False(t, read.Extending)
	e, err = s.store.Expire(t.Context(), made.ID, 0)
	require.NoError(t, err)
	require.Empty(t, e.Verdicts)
	fresh := s.order(t, made.ID, "fresh")
	s.settle(t, fresh)
	r := s.record(t, fresh.ID)
	require.WithinDuration(t, r.DecidedAt.Add(sale.PayWithin), r.PayBy, time.Millisecond, "orders to come have it as well")
	s.check(t, made)
}
