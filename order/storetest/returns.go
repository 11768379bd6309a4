package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
)

// limited returns a new sale that allows a shopper so many attempts.
func (s *suite) limited(t *testing.T, units, slots, attempts int) order.Sale {
	t.Helper()
	draft := s.draft(t, units, slots)
	draft.AttemptsPerShopper = attempts
	sale, err := s.store.CreateSale(t.Context(), draft)
	require.NoError(t, err)
	require.Equal(t, attempts, s.read(t, sale.ID).AttemptsPerShopper)
	return sale
}

// buy settles one order of a shopper.
func (s *suite) buy(t *testing.T, saleID int64, shopper string) order.Verdict {
	t.Helper()
	o := s.order(t, saleID, shopper)
	return s.settle(t, o)[o.ID]
}

// returned reads what the shoppers of a sale have returned.
func (s *suite) returned(t *testing.T, saleID int64) map[string]int {
	t.Helper()
	returned := map[string]int{}
	_, err := s.store.Snapshot(t.Context(), saleID, func([]order.Record) error { return nil }, func(page []order.Returns) error {
		for _, r := range page {
			returned[r.ShopperID] = r.Orders
		}
		return nil
	})
	require.NoError(t, err)
	return returned
}

func returnsCount(t *testing.T, s *suite) {
	sale := s.limited(t, 10, 1, 3)
	by := order.Operator{Name: "eve", Role: "operator"}
	cancelled := s.buy(t, sale.ID, "cancels")
	v := s.cancel(t, cancelled.ID)
	require.Equal(t, 1, v.Returned)
	again := s.cancel(t, cancelled.ID)
	require.Zero(t, again.Seq+uint64(again.Returned), "a cancellation that is read counts nothing")
	_, err := s.store.CancelAs(t.Context(), by, s.id(t).String(), s.buy(t, sale.ID, "operated").ID)
	require.NoError(t, err)
	s.void(t, s.order(t, sale.ID, "voided"))
	poisoned := s.order(t, sale.ID, "poisoned")
	poisoned.Quantity = 9
	s.settle(t, poisoned)
	_, err = s.store.Pay(t.Context(), order.Payment{EventID: s.id(t).String(), OrderID: s.buy(t, sale.ID, "paid").ID, AmountMinor: 9900, Currency: "CNY"})
	require.NoError(t, err)
	require.Equal(t, map[string]int{"cancels": 1}, s.returned(t, sale.ID))
	s.check(t, sale)

	unlimited := s.sale(t, 10, 1)
	for range 5 {
		s.cancel(t, s.buy(t, unlimited.ID, "a").ID)
	}
	requireVerdict(t, s.buy(t, unlimited.ID, "a"), order.StatusConfirmed, "")
	require.Equal(t, map[string]int{"a": 5}, s.returned(t, unlimited.ID), "it is counted all the same")

	draft := s.draft(t, 10, 1)
	draft.AttemptsPerShopper, draft.PayWithin = 3, time.Second
	short, err := s.store.CreateSale(t.Context(), draft)
	require.NoError(t, err)
	s.buy(t, short.ID, "late")
	seq := uint64(0)
	require.Eventually(t, func() bool {
		e, err := s.store.Expire(t.Context(), short.ID, seq)
		require.NoError(t, err)
		seq = e.Seq
		return len(e.Verdicts) == 1 && e.Verdicts[0].Returned == 1
	}, 10*time.Second, 50*time.Millisecond)

	voided := s.limited(t, 10, 1, 3)
	s.move(t, voided.ID, order.SaleOpen)
	s.buy(t, voided.ID, "a")
	_, err = s.store.Operate(t.Context(), order.Operation{Command: s.id(t).String(), By: by, SaleID: voided.ID, Action: order.Voiding()})
	require.NoError(t, err)
	e, err := s.store.Expire(t.Context(), voided.ID, 0)
	require.NoError(t, err)
	require.Len(t, e.Verdicts, 1)
	require.Empty(t, s.returned(t, voided.ID))
}

func returnsLimit(t *testing.T, s *suite) {
	sale := s.limited(t, 10, 2, 2)
	s.move(t, sale.ID, order.SaleOpen)
	for range 2 {
		s.cancel(t, s.buy(t, sale.ID, "a").ID)
	}
	available := s.available(t, sale.ID)
	refused := s.order(t, sale.ID, "a")
	vs := s.settle(t, refused, s.order(t, sale.ID, "b"), s.order(t, sale.ID, "c"))
	requireVerdict(t, vs[refused.ID], order.StatusRejected, order.ReasonAttemptsUsed)
	require.Equal(t, 2, vs[refused.ID].Returned, "Redis may have lost it")
	require.Equal(t, available-2, s.available(t, sale.ID), "the others bought")
	again := s.settle(t, refused)[refused.ID]
	requireVerdict(t, again, order.StatusRejected, order.ReasonAttemptsUsed)
	require.Zero(t, again.Seq)
	require.Equal(t, order.ReasonAttemptsUsed, s.record(t, refused.ID).Reason)
	cs, err := s.store.Changes(t.Context(), sale.ID, vs[refused.ID].Seq-1, 1)
	require.NoError(t, err)
	require.Equal(t, vs[refused.ID], cs[0].Verdicts[0])
	s.check(t, sale)

	change := func(attempts int) error {
		_, err := s.store.Operate(t.Context(), order.Operation{
			Command: s.id(t).String(), By: order.Operator{Name: "eve", Role: "operator"}, SaleID: sale.ID,
			Action: order.Changing(order.SalePatch{AttemptsPerShopper: &attempts}),
		})
		return err
	}
	require.ErrorIs(t, change(1), order.ErrConflict, "shoppers were promised more")
	require.NoError(t, change(3))
	third := s.buy(t, sale.ID, "a")
	requireVerdict(t, third, order.StatusConfirmed, "")
	s.cancel(t, third.ID)
	requireVerdict(t, s.buy(t, sale.ID, "a"), order.StatusRejected, order.ReasonAttemptsUsed)
	require.NoError(t, change(0))
	requireVerdict(t, s.buy(t, sale.ID, "a"), order.StatusConfirmed, "")
	require.ErrorIs(t, change(100), order.ErrConflict, "there is no limit any more")
}

func returnsTogether(t *testing.T, s *suite) {
	draft := s.draft(t, 10, 2)
	draft.AttemptsPerShopper, draft.PayWithin = 2, time.Second
	sale, err := s.store.CreateSale(t.Context(), draft)
	require.NoError(t, err)
	a, b, c := s.order(t, sale.ID, "a"), s.order(t, sale.ID, "b"), s.order(t, sale.ID, "a")
	c.Key = 1
	s.settle(t, a, b, c)
	time.Sleep(1100 * time.Millisecond)
	e, err := s.store.Expire(t.Context(), sale.ID, 0)
	require.NoError(t, err)
	var counts []int
	for _, v := range e.Verdicts {
		counts = append(counts, v.Returned)
	}
	require.Equal(t, []int{1, 1, 2}, counts, "of a, b and a, in ID order")
	requireVerdict(t, s.buy(t, sale.ID, "a"), order.StatusRejected, order.ReasonAttemptsUsed)
	requireVerdict(t, s.buy(t, sale.ID, "b"), order.StatusConfirmed, "")
	s.check(t, sale)
}

// Shoppers buy and cancel from several goroutines at once: the log, which has the
// order in which that was committed, shows every purchase beyond the limit.
func returnsRace(t *testing.T, s *suite) {
	sale := s.limited(t, 1000, 3, 2)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 25 {
				var batch []order.Order
				for i := range 4 {
					id, err := s.ids.Next()
					if err != nil {
						t.Error(err)
					}
					batch = append(batch, order.Order{ID: id, SaleID: sale.ID, ShopperID: fmt.Sprint("shopper-", i), Quantity: 1, Key: uint64(id)})
				}
				vs := insist(t, func() ([]order.Verdict, error) { return s.store.Settle(t.Context(), batch) })
				for _, v := range vs {
					if v.Status == order.StatusConfirmed {
						insist(t, func() (order.Verdict, error) { return s.store.Cancel(t.Context(), v.ID) })
					}
				}
			}
		})
	}
	wg.Wait()
	s.check(t, sale)
	for shopper, n := range s.returned(t, sale.ID) {
		require.GreaterOrEqual(t, n, 2, shopper)
		require.LessOrEqual(t, n, 4, "%s: the limit and those that were live then", shopper)
	}
}

// insist calls fn again after deadlocks, which are normal where all want the same
// slots.
func insist[T any](t *testing.T, fn func() (T, error)) T {
	t.Helper()
	for range 20 {
		if v, err := fn(); err == nil {
			return v
		}
	}
	v, err := fn()
	if err != nil {
		t.Error(err)
	}
	return v
}

func returnsReported(t *testing.T, s *suite) {
	sale := s.sale(t, 100, 1)
	for i, times := range []int{1, 1, 3, 12, 10} {
		for range times {
			o := s.order(t, sale.ID, fmt.Sprint("shopper-", i))
			o.Quantity = 2
			s.settle(t, o)
			s.cancel(t, o.ID)
		}
	}
	r, err := s.store.Report(t.Context(), sale.ID, nil)
	require.NoError(t, err)
	require.Equal(t, []order.ReturnedTimes{
		{Times: 1, Shoppers: 2, Orders: 2, Units: 4}, {Times: 3, Shoppers: 1, Orders: 3, Units: 6}, {Times: 10, Shoppers: 2, Orders: 22, Units: 44},
	}, r.Returns)
}

func returnsPaged(t *testing.T, s *suite) {
	sale := s.sale(t, 1100, 1)
	os := s.orders(t, sale.ID, 1100)
	s.settleAll(t, os)
	for _, o := range os {
		s.cancel(t, o.ID)
	}
	var sizes []int
	_, err := s.store.Snapshot(t.Context(), sale.ID, func([]order.Record) error { return nil }, func(page []order.Returns) error {
		sizes = append(sizes, len(page))
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, []int{1000, 100}, sizes)
	err = noReturns(nil)
	_, failed := s.store.Snapshot(t.Context(), sale.ID, func([]order.Record) error { return nil }, func([]order.Returns) error { return err })
	require.ErrorIs(t, failed, err)
}
