package stock_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/testenv"
	"seckill/order"
	"seckill/stock"
)

// ctx outlives the test's own context, for cleaning up.
func ctx(t *testing.T) context.Context {
	c, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 5*time.Second)
	t.Cleanup(cancel)
	return c
}

func TestAVerdictMovesAPendingOrderOnce(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 1)
		yes, no, gone := f.pending("ann", units(2)), f.pending("bob", units(3)), f.pending("cid", units(4))
		c := f.change(confirmed(yes), rejected(no), cancelled(gone))
		for range 3 {
			f.apply(c)
			f.has(8, 0, 2)
		}
		f.replay(confirmed(yes), rejected(no), cancelled(gone))
		f.is(yes, stock.EntrySettled, 0)
		f.is(no, stock.EntryRejected, -1)
		f.is(gone, stock.EntryCancelled, -1)
		f.has(8, 0, 2)
	})
}

func TestNothingMovesADeadOrder(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 1)
		r, c := f.pending("ann"), f.pending("bob")
		f.apply(f.change(rejected(r), cancelled(c)))
		f.apply(f.change(confirmed(r), confirmed(c)))
		f.apply(f.change(cancelled(r), rejected(c)))
		f.replay(confirmed(r), confirmed(c))
		f.is(r, stock.EntryRejected, -1)
		f.is(c, stock.EntryCancelled, -1)
		f.has(10, 0, 0)
	})
}

func TestOfASettledOrderOnlyACancellationIsBelieved(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 1)
		o := f.pending("ann", units(3))
		f.apply(f.change(confirmed(o)))
		f.apply(f.change(rejected(o)))
		f.is(o, stock.EntrySettled, 0)
		f.apply(f.change(order.Verdict{Order: o, Status: order.StatusPaid}))
		f.is(o, stock.EntrySettled, 0)
		f.apply(f.change(cancelled(o)))
		f.is(o, stock.EntryCancelled, -1)
		f.has(10, 0, 0)
	})
}

func TestWhatRedisForgotIsAdoptedFromAChange(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(1, 2)
		a, b := f.order("ann", keyed(5), units(2)), f.order("bob")
		a.Slot = 1
		f.apply(f.change(confirmed(a), rejected(b)))
		f.is(a, stock.EntrySettled, 1)
		f.absent(b)
		f.has(-1, 0, 2)
		require.ErrorIs(f, f.reserve(f.order("ann", keyed(5)))[0].Err, stock.ErrReplay, "the key comes with the change")
	})
}

func TestWhoOnlyReadARowAdoptsNothing(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 1)
		a, b := f.order("ann"), f.order("bob")
		f.replay(confirmed(a), cancelled(b))
		f.absent(a)
		f.absent(b)
		f.has(10, 0, 0)
		f.applied(0)
	})
}

func TestALateWriteBackDoesNotAdoptWhatDiedSince(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(100, 1)
		o := f.order("ann")
		late := f.change(confirmed(o))
		f.apply(late, f.change(cancelled(o)))
		for range 4 { // their tombstones push out its own
			x := f.pending("ann")
			f.apply(f.change(rejected(x)))
		}
		f.absent(o)
		f.apply(late)
		f.absent(o)
		f.has(100, 0, 0)
	})
}

func TestACancellationOfAnAbsentOrderLeavesATombstone(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 1)
		o := f.order("ann")
		yes, gone := f.change(confirmed(o)), f.change(cancelled(o))
		f.apply(gone) // its write-back came first
		f.is(o, stock.EntryCancelled, -1)
		f.apply(yes)
		f.is(o, stock.EntryCancelled, -1)
		f.has(10, 0, 0)
		f.applied(2)
	})
}

func TestTheLastFourDeadOrdersOfAShopperAreKept(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 3)
		oldest := f.pending("ann", keyed(99)) // lives longest
		var dead []order.Order
		for k := range 6 {
			o := f.pending("ann", keyed(uint64(k+1)))
			f.apply(f.change(rejected(o)))
			dead = append(dead, o)
		}
		f.apply(f.change(cancelled(oldest)))
		f.is(oldest, stock.EntryCancelled, -1)
		for i, o := range dead {
			if i < 3 {
				f.absent(o)
			} else {
				f.is(o, stock.EntryRejected, -1)
			}
		}
	})
}

func TestTheCursorMovesOnlyFromItsPredecessorAndOverMarks(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 1)
		var os []order.Order
		var cs []order.Change
		for _, s := range []string{"a", "b", "c", "d", "e"} {
			o := f.pending(s)
			os = append(os, o)
			cs = append(cs, f.change(confirmed(o)))
		}
		f.apply(cs[2], cs[1], cs[4])
		f.applied(0)
		f.is(os[1], stock.EntrySettled, 0)
		f.is(os[2], stock.EntrySettled, 0)
		f.is(os[0], stock.EntryPending, 0)
		f.apply(cs[0])
		f.applied(3)
		f.apply(cs[0], cs[2])
		f.applied(3)
		f.apply(cs[3])
		f.applied(5)
		f.has(5, 0, 5)
		fields, err := f.rdb.HKeys(f.Context(), f.key("m")).Result()
		require.NoError(f, err)
		require.Len(f, fields, 13, "no mark is left: %v", fields)
	})
}

func TestAChangeFarAheadIsLeftToTheTail(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 1)
		near, far := f.pending("ann"), f.pending("bob")
		f.seq = 1_000
		last := f.change(confirmed(far)) // 1,001
		f.apply(last)
		f.is(far, stock.EntryPending, 0)
		f.seq = 999
		f.apply(f.change(confirmed(near)))
		f.is(near, stock.EntrySettled, 0)
		f.applied(0)
		f.seq = 0
		for range 999 {
			f.apply(f.change())
		}
		f.applied(1_000)
		f.apply(last)
		f.applied(1_001)
		f.has(8, 0, 2)
	})
}

func TestASaleEffectWaitsForItsTurnAndActsOnce(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 1)
		o := f.pending("ann")
		first := f.change(confirmed(o))
		ends := time.UnixMilli(f.sale.EndsAt.UnixMilli() + 60_000).UTC()
		restock := f.saleChange(order.SaleEffect{Units: 5, State: order.SalePaused, StartsAt: f.sale.StartsAt, EndsAt: ends})
		f.apply(restock)
		f.applied(0)
		f.has(9, 1, 0)
		f.apply(first, restock)
		f.apply(restock, first)
		f.applied(2)
		f.has(14, 0, 1)
		m := f.meta()
		require.Equal(f, order.SalePaused, m.State)
		require.Equal(f, ends, m.EndsAt)
		require.EqualValues(f, 15, m.Total)
		f.apply(f.saleChange(order.SaleEffect{Units: -5}))
		require.Equal(f, order.SalePaused, f.meta().State, "an empty field changes nothing")
		f.has(9, 0, 1)
	})
}

// A confirmation still to come must meet the tombstone of the cancellation
// that was marked, whatever else the shopper does meanwhile.
func TestATombstoneStaysWhileAMarkIsOutstanding(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(100, 1)
		o := f.order("ann")
		yes, gone := f.change(confirmed(o)), f.change(cancelled(o))
		f.apply(gone)
		var later []order.Change
		for range 6 {
			x := f.pending("ann")
			c := f.change(rejected(x))
			f.apply(c)
			later = append(later, c)
		}
		f.is(o, stock.EntryCancelled, -1)
		f.apply(append([]order.Change{yes, gone}, later...)...)
		f.applied(8)
		f.has(100, 0, 0)
		x := f.pending("ann")
		f.apply(f.change(rejected(x)))
		es, err := f.l.Entries(f.Context(), f.sale.ID, "ann")
		require.NoError(f, err)
		require.Len(f, es, 4)
	})
}

func TestTwoProcessesApplyTheSameChangesAtOnce(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(100, 1)
		var cs []order.Change
		for i := range 20 {
			o := f.order(string(rune('a' + i)))
			if i%2 == 0 {
				f.reserve(o)
			}
			cs = append(cs, f.change(confirmed(o)))
			if i%3 == 0 {
				cs = append(cs, f.change(cancelled(o)))
			}
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for _, c := range cs {
					if err := f.l.Apply(f.Context(), []order.Change{c}); err != nil {
						f.Error(err)
					}
				}
			})
		}
		wg.Wait()
		f.applied(uint64(len(cs)))
		f.has(87, 0, 13)
	})
}

func TestApplySaysWhichSaleFailedAndDoesTheOthers(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 1)
		o := f.pending("ann")
		c := f.change(confirmed(o))
		foreign := order.Change{SaleID: testenv.SaleID(), Seq: 1}
		require.ErrorIs(f, f.l.Apply(f.Context(), []order.Change{foreign, c}), stock.ErrNotLoaded)
		f.is(o, stock.EntrySettled, 0)
	})
}

func TestReplayTakesVerdictsOfManySales(t *testing.T) {
	onBoth(t, func(f *fixture) {
		g := newFixture(f.T, f.rdb)
		f.load(10, 1)
		g.load(10, 1)
		a, b, c := f.pending("ann"), g.pending("ann"), f.pending("bob")
		f.replay(confirmed(a), rejected(b), rejected(c))
		f.has(9, 0, 1)
		g.has(10, 0, 0)
		f.applied(0)
		f.apply(f.change(confirmed(a), rejected(c)))
		f.has(9, 0, 1)
		f.applied(1)
	})
}

func TestApplyWorksAfterTheServerForgotItsScripts(t *testing.T) {
	f := newFixture(t, testenv.Miniredis(t))
	f.load(10, 1)
	a, b := f.pending("ann"), f.pending("bob")
	require.NoError(t, f.rdb.ScriptFlush(t.Context()).Err())
	f.apply(f.change(confirmed(a)), f.saleChange(order.SaleEffect{Units: 1}), f.change(confirmed(b)))
	f.applied(3)
	f.has(9, 0, 2)
}

// The cancellation of one order comes before a change that rejects four others
// of its shopper and confirms it: five dead entries, one more than are kept.
func TestAChangeDropsNoTombstoneThatItStillNeeds(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 5)
		var vs []order.Verdict
		for k := range 4 {
			vs = append(vs, rejected(f.pending("ann", keyed(uint64(k+1)))))
		}
		o := f.pending("ann", keyed(5))
		late, gone := f.change(append(vs, confirmed(o))...), f.change(cancelled(o))
		f.apply(gone)
		f.apply(late)
		f.applied(2)
		f.has(10, 0, 0)
	})
}

func TestAConfirmationLeavesTheOtherOrdersOfItsShopperAndTheirTails(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 2)
		cart := func(o *order.Order) { o.Reference = "cart 1" }
		first, second := f.pending("ann", keyed(1), cart), f.pending("ann", keyed(2), cart)
		f.apply(f.change(confirmed(first)))
		f.is(first, stock.EntrySettled, 0)
		f.is(second, stock.EntryPending, 1)
		f.apply(f.change(confirmed(second)))
		f.is(first, stock.EntrySettled, 0)
		f.is(second, stock.EntrySettled, 1)
		f.has(8, 0, 2)
	})
}

// What a change says of an order is its row; the entry's key and units stand
// all the same.
func TestAConfirmationKeepsTheKeyAndTheUnitsOfTheEntry(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(100, 1)
		for i, reference := range []string{"", "cart", "abc"} {
			o := f.pending(fmt.Sprint("keyed-", i), keyed(7), func(o *order.Order) { o.Reference = reference })
			row := o
			row.Key = 0
			f.apply(f.change(confirmed(row)))
			f.is(o, stock.EntrySettled, 0)
			bare := f.pending(fmt.Sprint("bare-", i), func(o *order.Order) { o.Reference = reference })
			f.apply(f.change(confirmed(bare)))
			f.is(bare, stock.EntrySettled, 0)
		}
		o := f.pending("many", units(12))
		row := o
		row.Quantity = 1
		f.apply(f.change(confirmed(row)))
		f.is(o, stock.EntrySettled, 0)
		f.has(82, 0, 18)
	})
}
