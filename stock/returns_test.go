package stock_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
	"seckill/stock"
)

// returned is a cancelled order as its shopper's n-th return.
func returned(o order.Order, n int) order.Verdict {
	v := cancelled(o)
	v.Returned = n
	return v
}

// ask reserves one order on terms.
func (f *fixture) ask(p stock.Purchase) stock.Reservation {
	f.Helper()
	rs, err := f.l.Reserve(f.Context(), f.sale.ID, []stock.Purchase{p})
	require.NoError(f, err)
	return rs[0]
}

// back asserts how many orders Redis says that the shopper has returned.
func (f *fixture) back(shopper string, want int) {
	f.Helper()
	n, err := f.l.Returned(f.Context(), f.sale.ID, shopper)
	require.NoError(f, err)
	require.Equal(f, want, n, "returned by %s", shopper)
}

// loadReturns loads the sale after shoppers have returned orders.
func (f *fixture) loadReturns(rs ...order.Returns) {
	f.Helper()
	ld, err := f.l.Begin(f.Context(), f.sale)
	require.NoError(f, err)
	require.NoError(f, ld.AddReturns(f.Context(), rs))
	require.NoError(f, ld.Finish(f.Context(), f.sale))
}

func TestReturnsAreCountedOnceWhateverComesAgain(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 2)
		a, b := f.pending("ann", keyed(1)), f.pending("ann", keyed(2))
		buys := f.change(confirmed(a), confirmed(b))
		first, second := f.change(returned(a, 1)), f.change(returned(b, 2))
		f.apply(buys)
		f.apply(second) // ahead of its turn
		f.back("ann", 2)
		f.apply(first)
		f.back("ann", 2)
		f.apply(first, second, buys)
		f.replay(cancelled(a), cancelled(b))
		f.back("ann", 2)
		f.applied(3)
		f.has(10, 0, 0)
		es, err := f.l.Entries(f.Context(), f.sale.ID, "ann")
		require.NoError(f, err)
		require.Len(f, es, 2, "the count is no order")
		all, _, err := f.l.Scan(f.Context(), f.sale.ID, 0, 100)
		require.NoError(f, err)
		require.Len(f, all, 2)

		// What an operator cancels is not counted; a rejection tells what Redis had lost.
		c := f.pending("bob")
		f.apply(f.change(confirmed(c)), f.change(cancelled(c)))
		f.back("bob", 0)
		d := f.pending("cid")
		v := rejected(d)
		v.Reason, v.Returned = order.ReasonAttemptsUsed, 3
		f.apply(f.change(v))
		f.back("cid", 3)
	})
}

func TestTheCountOutlivesTombstones(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 1)
		for n := 1; n <= 9; n++ {
			o := f.pending("ann", keyed(uint64(n)))
			f.apply(f.change(confirmed(o)), f.change(returned(o, n)))
		}
		f.back("ann", 9)
		es, err := f.l.Entries(f.Context(), f.sale.ID, "ann")
		require.NoError(f, err)
		require.Len(f, es, 4)
		length, err := f.rdb.HStrLen(f.Context(), f.key("o"), "ann").Result()
		require.NoError(f, err)
		require.Less(f, length, int64(250), "bytes that a shopper takes who returns all the time")
		f.has(10, 0, 0)
	})
}

func TestAttemptsAreUsedUp(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 1)
		o := f.pending("ann", keyed(1))
		f.apply(f.change(confirmed(o)), f.change(returned(o, 3)))
		on := func(attempts int) stock.Purchase { return stock.Purchase{Order: f.order("ann"), Attempts: attempts} }
		require.ErrorIs(f, f.ask(on(3)).Err, stock.ErrAttemptsUsed)
		require.ErrorIs(f, f.ask(on(2)).Err, stock.ErrAttemptsUsed)
		require.ErrorIs(f, f.ask(on(4)).Err, stock.ErrReturnPause, "an operator allowed one more")
		again := stock.Purchase{Order: f.order("ann", keyed(1)), Attempts: 3}
		r := f.ask(again)
		require.ErrorIs(f, r.Err, stock.ErrReplay, "the same purchase finds its order")
		require.Equal(f, o.ID, r.Entry.ID)
		require.NoError(f, f.ask(stock.Purchase{Order: f.order("bob"), Attempts: 1}).Err)
		unlimited := on(0)
		require.NoError(f, f.ask(unlimited).Err, "nor is there a pause")
		require.NoError(f, f.ask(unlimited).Err)
		require.ErrorIs(f, f.ask(stock.Purchase{Order: f.order("ann", keyed(2)), Attempts: 3}).Err, stock.ErrPurchaseLimit, "the order that is held is named first")
	})
}

func TestThePauseAfterAReturnGrows(t *testing.T) {
	onBoth(t, func(f *fixture) {
		now := time.Now()
		var rs []order.Returns
		for n, pause := range []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute, 10 * time.Minute} {
			for name, at := range map[string]time.Time{"soon": now.Add(5*time.Second - pause), "over": now.Add(-pause)} {
				rs = append(rs, order.Returns{ShopperID: fmt.Sprintf("%s-%d", name, n+1), Orders: n + 1, At: at})
			}
		}
		rs = append(rs, order.Returns{ShopperID: "clock", Orders: 1, At: now.Add(time.Hour)})
		f.loadReturns(rs...)
		for n := 1; n <= 5; n++ {
			r := f.ask(stock.Purchase{Order: f.order(fmt.Sprint("soon-", n)), Attempts: 9})
			require.ErrorIs(f, r.Err, stock.ErrReturnPause, "after return %d", n)
			require.InDelta(f, 5, r.Wait.Seconds(), 2)
			require.NoError(f, f.ask(stock.Purchase{Order: f.order(fmt.Sprint("over-", n)), Attempts: 9}).Err, "after return %d", n)
		}
		require.NoError(f, f.ask(stock.Purchase{Order: f.order("clock"), Attempts: 9}).Err, "the clock was set back")
	})
}

func TestAPermitIsSpentByAReturn(t *testing.T) {
	onBoth(t, func(f *fixture) {
		now := time.Now()
		f.loadReturns(order.Returns{ShopperID: "ann", Orders: 1, At: now.Add(-11 * time.Second)})
		ask := func(shopper string, issued time.Time) error {
			return f.ask(stock.Purchase{Order: f.order(shopper), Attempts: 3, PermitAt: issued}).Err
		}
		require.ErrorIs(f, ask("ann", now.Add(-time.Minute)), stock.ErrPermitSpent)
		require.NoError(f, ask("bob", now.Add(-time.Minute)))
		require.NoError(f, ask("ann", now.Add(-time.Second)))
	})
}

func TestALoadKeepsWhatWasReturned(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.sale.Total, f.sale.Seq = 10, 7
		live := f.order("ann")
		ld, err := f.l.Begin(f.Context(), f.sale)
		require.NoError(f, err)
		require.NoError(f, ld.Add(f.Context(), []order.Record{record(live, order.StatusConfirmed)}))
		page := []order.Returns{{ShopperID: "ann", Orders: 2, At: time.Now()}, {ShopperID: "bob", Orders: 1, At: time.Now()}}
		require.NoError(f, ld.AddReturns(f.Context(), page))
		require.NoError(f, ld.AddReturns(f.Context(), nil))
		require.NoError(f, ld.Finish(f.Context(), f.sale))
		f.seq = 7
		f.has(9, 0, 1)
		f.is(live, stock.EntrySettled, 0)
		f.back("ann", 2)
		f.back("bob", 1)
		f.back("cid", 0)
		f.apply(f.change(returned(live, 3)))
		f.back("ann", 3)
		f.has(10, 0, 0)
	})
}
