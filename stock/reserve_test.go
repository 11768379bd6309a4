package stock_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
	"seckill/stock"
)

func TestReserveTakesUnitsAndALaterCallFindsTheEntry(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 1)
		o := f.pending("ann", units(3), func(o *order.Order) { o.Reference = "cart-77, blue" })
		f.has(7, 3, 0)
		f.is(o, stock.EntryPending, 0)
		es, err := f.l.Entries(f.Context(), f.sale.ID, "ann")
		require.NoError(f, err)
		require.Equal(f, []stock.Entry{{Order: o, State: stock.EntryPending}}, es)
	})
}

func TestReserveKeepsIDsOf63Bits(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 1)
		o := f.pending("ann", func(o *order.Order) { o.ID = math.MaxInt64 - 1 })
		f.is(o, stock.EntryPending, 0)
		f.apply(f.change(confirmed(o)))
		f.is(o, stock.EntrySettled, 0)
	})
}

func TestReserveRepeatedAfterAnUnknownOutcomeGivesTheSameAnswers(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(3, 2)
		os := []order.Order{f.order("ann"), f.order("ann", keyed(7)), f.order("bob"), f.order("cid")}
		first := f.reserve(os...)
		require.NoError(f, first[0].Err)
		require.Equal(f, 1, first[1].Slot)
		require.ErrorIs(f, first[3].Err, stock.ErrSoldOut)
		require.Equal(f, first, f.reserve(os...))
		f.has(0, 3, 0)

		f.apply(f.change(confirmed(os[0]), rejected(os[2])))
		again := f.reserve(os[0], os[2])
		require.NoError(f, again[0].Err)
		require.NoError(f, again[1].Err, "a dead entry of that very ID is the same order")
		f.has(1, 1, 1)
	})
}

func TestReserveWithARepeatedOrderInOneBatchTakesItOnce(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 3)
		o := f.order("ann")
		rs := f.reserve(o, o, o)
		for _, r := range rs {
			require.NoError(f, r.Err)
			require.Equal(f, 0, r.Slot)
		}
		f.has(9, 1, 0)
	})
}

func TestReserveWithoutAKeyNamesTheShoppersLiveOrder(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 3)
		o := f.pending("ann")
		r := f.reserve(f.order("ann"))[0]
		require.ErrorIs(f, r.Err, stock.ErrReplay)
		require.Equal(f, o, r.Entry.Order)

		f.apply(f.change(confirmed(o)))
		require.ErrorIs(f, f.reserve(f.order("ann"))[0].Err, stock.ErrReplay)
		f.apply(f.change(cancelled(o)))
		next := f.pending("ann")
		require.Equal(f, 0, next.Slot)
		f.has(9, 1, 0)
	})
}

func TestReserveWithAKeyNamesItsOrderEvenWhenItIsDead(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 3)
		o := f.pending("ann", keyed(math.MaxUint64))
		other := f.pending("ann", keyed(1))
		require.Equal(f, 1, other.Slot)
		f.apply(f.change(rejected(o)))
		r := f.reserve(f.order("ann", keyed(math.MaxUint64)))[0]
		require.ErrorIs(f, r.Err, stock.ErrReplay)
		require.Equal(f, stock.EntryRejected, r.Entry.State)
		require.Equal(f, o.ID, r.Entry.ID)
		require.NoError(f, f.reserve(f.order("bob", keyed(1)))[0].Err, "another shopper's key is another key")
	})
}

func TestReserveKeepsAKeyWhenTheOrderIsSettledOrCancelled(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 3)
		o := f.pending("ann", keyed(42), func(o *order.Order) { o.Reference = "x,y" })
		f.apply(f.change(confirmed(o)))
		f.is(o, stock.EntrySettled, 0)
		require.ErrorIs(f, f.reserve(f.order("ann", keyed(42)))[0].Err, stock.ErrReplay)
		f.apply(f.change(cancelled(o)))
		require.ErrorIs(f, f.reserve(f.order("ann", keyed(42)))[0].Err, stock.ErrReplay)
	})
}

func TestReserveHoldsTheLimitAndGivesTheLowestFreeSlot(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(100, 3)
		var os []order.Order
		for k := range 3 {
			o := f.pending("ann", keyed(uint64(k+1)))
			require.Equal(f, k, o.Slot)
			os = append(os, o)
		}
		r := f.reserve(f.order("ann", keyed(9)))[0]
		require.ErrorIs(f, r.Err, stock.ErrPurchaseLimit)
		require.Equal(f, os[2].ID, r.Entry.ID)

		f.apply(f.change(confirmed(os[2]), rejected(os[1])))
		require.Equal(f, 1, f.pending("ann", keyed(10)).Slot)
		require.ErrorIs(f, f.reserve(f.order("ann", keyed(11)))[0].Err, stock.ErrPurchaseLimit)
		f.has(97, 2, 1)
	})
}

func TestReserveLetsOrdersOfOneShopperSeeEachOtherInABatch(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(100, 2)
		rs := f.reserve(f.order("ann"), f.order("ann"), f.order("ann", keyed(1)), f.order("ann", keyed(2)), f.order("ann", keyed(1)))
		require.NoError(f, rs[0].Err)
		require.ErrorIs(f, rs[1].Err, stock.ErrReplay)
		require.NoError(f, rs[2].Err)
		require.Equal(f, 1, rs[2].Slot)
		require.ErrorIs(f, rs[3].Err, stock.ErrPurchaseLimit)
		require.ErrorIs(f, rs[4].Err, stock.ErrReplay)
		f.has(98, 2, 0)
	})
}

func TestReserveSellsOutAndNeverBelowZero(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(5, 1)
		rs := f.reserve(f.order("ann", units(3)), f.order("bob", units(3)), f.order("cid", units(2)), f.order("dan"))
		require.NoError(f, rs[0].Err)
		require.ErrorIs(f, rs[1].Err, stock.ErrSoldOut)
		require.NoError(f, rs[2].Err, "fewer units still fit")
		require.ErrorIs(f, rs[3].Err, stock.ErrSoldOut)
		require.Zero(f, rs[3].Available)
		f.has(0, 5, 0)
	})
}

func TestReserveRefusesByStateAndWindow(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, c := range map[string]struct {
		state        order.SaleState
		starts, ends time.Time
		want         error
	}{
		"open":             {order.SaleOpen, now.Add(-time.Minute), now.Add(time.Minute), nil},
		"before its start": {order.SaleOpen, now.Add(time.Minute), now.Add(time.Hour), stock.ErrNotOpen},
		"past its end":     {order.SaleOpen, now.Add(-time.Hour), now.Add(-time.Minute), stock.ErrEnded},
		"paused":           {order.SalePaused, now.Add(-time.Minute), now.Add(time.Minute), stock.ErrPaused},
		"ended":            {order.SaleEnded, now.Add(-time.Minute), now.Add(time.Minute), stock.ErrEnded},
		"closed":           {order.SaleClosed, now.Add(-time.Minute), now.Add(time.Minute), stock.ErrEnded},
		"scheduled":        {order.SaleScheduled, now.Add(-time.Minute), now.Add(time.Minute), stock.ErrNotOpen},
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(f *fixture) {
				f.sale.State, f.sale.StartsAt, f.sale.EndsAt = c.state, c.starts, c.ends
				f.load(10, 1)
				require.ErrorIs(f, f.reserve(f.order("ann"))[0].Err, c.want)
				if c.want != nil {
					f.has(10, 0, 0)
				}
			})
		})
	}
}

func TestReserveReplaysBeforeItJudgesTheSale(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(1, 1)
		o := f.pending("ann")
		f.apply(f.saleChange(order.SaleEffect{State: order.SaleEnded}))
		require.NoError(f, f.reserve(o)[0].Err)
		require.ErrorIs(f, f.reserve(f.order("ann"))[0].Err, stock.ErrReplay)
		require.ErrorIs(f, f.reserve(f.order("bob"))[0].Err, stock.ErrEnded)
	})
}

func TestASlotThatACommittedOrderTookIsNotHeldByThePendingOne(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 2)
		mine := f.pending("ann", keyed(1))
		lost := f.order("ann", keyed(2)) // Redis forgot it, MySQL gave it slot 0
		f.apply(f.change(confirmed(lost)))
		f.is(mine, stock.EntryPending, -1)
		f.is(lost, stock.EntrySettled, 0)
		r := f.reserve(mine)[0]
		require.NoError(f, r.Err)
		require.Zero(f, r.Slot, "a slot that fits a message")
		require.Equal(f, 1, f.pending("ann", keyed(3)).Slot)
		mine.Slot = 1
		f.apply(f.change(confirmed(mine)))
		f.is(mine, stock.EntrySettled, 1)
	})
}

func TestReserveOfManyOrdersInOneCall(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(3_000, 1)
		var os []order.Order
		for i := range 2_500 { // beyond what one unpack takes
			os = append(os, f.order(fmt.Sprint("s", i), func(o *order.Order) { o.Reference = strings.Repeat("r", 64) }))
		}
		for _, r := range f.reserve(os...) {
			require.NoError(f, r.Err)
		}
		f.has(500, 2_500, 0)
		var vs []order.Verdict
		for _, o := range os {
			vs = append(vs, confirmed(o))
		}
		f.apply(f.change(vs...))
		f.has(500, 0, 2_500)
	})
}

func TestNothingTouchesASaleThatIsNotLoaded(t *testing.T) {
	onBoth(t, func(f *fixture) {
		o := f.order("ann")
		rs := f.reserve(o, f.order("bob"))
		require.ErrorIs(f, rs[0].Err, stock.ErrNotLoaded)
		require.ErrorIs(f, rs[1].Err, stock.ErrNotLoaded)
		require.ErrorIs(f, f.l.Urgent(f.Context(), f.sale.ID, o), stock.ErrNotLoaded)
		require.ErrorIs(f, f.l.Apply(f.Context(), []order.Change{f.change(confirmed(o))}), stock.ErrNotLoaded)
		require.ErrorIs(f, f.l.Apply(f.Context(), []order.Change{f.saleChange(order.SaleEffect{Units: 5})}), stock.ErrNotLoaded)
		require.ErrorIs(f, f.l.Replay(f.Context(), []order.Verdict{confirmed(o)}), stock.ErrNotLoaded)
		_, err := f.l.Due(f.Context(), f.sale.ID, 10)
		require.ErrorIs(f, err, stock.ErrNotLoaded)
		require.False(f, f.meta().Loaded)
		es, err := f.l.Entries(f.Context(), f.sale.ID, "ann")
		require.NoError(f, err)
		require.Empty(f, es)
		keys, err := f.rdb.Exists(f.Context(), f.key("m"), f.key("o"), f.key("d"), f.key("u")).Result()
		require.NoError(f, err)
		require.Zero(f, keys)
	})
}
