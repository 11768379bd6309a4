package stock_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
	"seckill/stock"
)

const leaseTime = 30 * time.Second

func (f *fixture) due(limit int) []order.Order {
	f.Helper()
	os, err := f.l.Due(f.Context(), f.sale.ID, limit)
	require.NoError(f, err)
	return os
}

// date shifts what is due by some time, as if the clock of Redis had moved.
func (f *fixture) date(by time.Duration) {
	f.Helper()
	items, err := f.rdb.LRange(f.Context(), f.key("d"), 0, -1).Result()
	require.NoError(f, err)
	for i, item := range items {
		var at int64
		var rest string
		_, err := fmt.Sscanf(item, "%d,%s", &at, &rest)
		require.NoError(f, err)
		require.NoError(f, f.rdb.LSet(f.Context(), f.key("d"), int64(i), fmt.Sprintf("%d,%s", at+by.Milliseconds(), rest)).Err())
	}
}

func (f *fixture) length(suffix string) int {
	f.Helper()
	n, err := f.rdb.LLen(f.Context(), f.key(suffix)).Result()
	require.NoError(f, err)
	return int(n)
}

func TestAPendingOrderIsDueAfterItsLeaseWithAllThatSettlesIt(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 1)
		o := f.pending("ann", units(2), keyed(7), func(o *order.Order) { o.Reference = "cart 77,1" })
		require.Empty(f, f.due(10))
		f.date(-leaseTime)
		require.Equal(f, []order.Order{o}, f.due(10))
		require.Empty(f, f.due(10), "the claim is a lease")
		f.date(-leaseTime)
		require.Equal(f, []order.Order{o}, f.due(10), "which ends")
		f.apply(f.change(rejected(o)))
		require.Empty(f, f.due(10))
		require.Zero(f, f.length("d"))
	})
}

func TestWhatIsDatedInTheFutureIsDue(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 1)
		o := f.pending("ann")
		f.date(time.Hour) // the clock of Redis has run back by an hour since
		require.Equal(f, []order.Order{o}, f.due(10))
		require.Empty(f, f.due(10), "it is dated by the clock of now")
	})
}

func TestAnUrgentOrderIsDueAtOnceAndStillInLine(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 1)
		a, b := f.pending("ann"), f.pending("bob")
		require.NoError(f, f.l.Urgent(f.Context(), f.sale.ID, b, b))
		require.Equal(f, []order.Order{b}, f.due(10))
		require.Empty(f, f.due(10))
		require.Zero(f, f.length("u"))
		f.date(-leaseTime)
		require.Equal(f, []order.Order{a, b}, f.due(10), "whoever claimed it may have died")
		f.apply(f.change(confirmed(b)))
		require.NoError(f, f.l.Urgent(f.Context(), f.sale.ID, b))
		require.Empty(f, f.due(10), "it has its verdict")
	})
}

func TestAnOrderBothUrgentAndDueIsClaimedOnce(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 1)
		o := f.pending("ann")
		require.NoError(f, f.l.Urgent(f.Context(), f.sale.ID, o))
		f.date(-leaseTime)
		require.Equal(f, []order.Order{o}, f.due(10))
		require.Equal(f, 1, f.length("d"))
	})
}

func TestDueClaimsNoMoreThanAskedAndPassesABacklogOfSettledOnes(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(5_000, 1)
		var os []order.Order
		var vs []order.Verdict
		for i := range 3_000 {
			o := f.order(fmt.Sprint("s", i))
			os = append(os, o)
			if i%1_000 > 1 || i == 1 {
				vs = append(vs, confirmed(o))
			}
		}
		f.reserve(os...)
		f.apply(f.change(vs...))
		require.Empty(f, f.due(10), "not due yet")
		require.Equal(f, 3_000, f.length("d"))
		f.date(-leaseTime)
		require.Equal(f, []order.Order{os[0], os[1_000]}, f.due(2))
		require.Equal(f, []order.Order{os[1_001], os[2_000]}, f.due(2))
		require.Equal(f, []order.Order{os[2_001]}, f.due(2))
		require.Empty(f, f.due(2))
		require.Equal(f, 5, f.length("d"), "only pending ones are left")
	})
}

func TestSettledOrdersLeaveTheLineBeforeTheirTime(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 1)
		a := f.pending("ann")
		f.pending("bob")
		f.apply(f.change(confirmed(a)))
		require.Empty(f, f.due(10))
		require.Equal(f, 1, f.length("d"))
		m := f.meta()
		require.WithinDuration(f, time.Now(), m.OldestPending, 2*time.Second)
		require.WithinDuration(f, time.Now(), m.Now, 2*time.Second)
	})
}

func TestAnOrderThatLostItsSlotIsDueWithSlotZero(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 2)
		o := f.pending("ann", keyed(1))
		f.apply(f.change(confirmed(f.order("ann", keyed(2)))))
		f.is(o, stock.EntryPending, -1)
		f.date(-leaseTime)
		require.Equal(f, []order.Order{o}, f.due(10))
	})
}

func TestOldestPendingIsZeroWhenNothingIsPending(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 1)
		require.Zero(f, f.meta().OldestPending)
		o := f.pending("ann")
		require.NotZero(f, f.meta().OldestPending)
		f.apply(f.change(confirmed(o)))
		require.Zero(f, f.meta().OldestPending)
	})
}

func TestTwoOrdersOfOneIDAreBothDue(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 1)
		ann := f.pending("ann")
		bob := f.pending("bob", func(o *order.Order) { o.ID = ann.ID })
		require.NoError(f, f.l.Urgent(f.Context(), f.sale.ID, bob))
		f.date(-leaseTime)
		require.Equal(f, []order.Order{bob, ann}, f.due(10))
	})
}

func TestOnlyTheOrderThatIsPendingIsDueOfAShopperWithTwo(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 2)
		first, second := f.pending("ann", keyed(1)), f.pending("ann", keyed(2))
		f.apply(f.change(confirmed(first)))
		f.date(-leaseTime)
		require.Equal(f, []order.Order{second}, f.due(10))
	})
}
