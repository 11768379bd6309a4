package stock_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"seckill/order"
	"seckill/stock"
)

func TestALoadedSaleHasItsRowsAndTheSnapshotsCursor(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.seq = 17
		f.sale.Epoch = 3
		a, b, c := f.order("ann", keyed(5)), f.order("ann", units(2)), f.order("bob", units(3))
		b.Slot = 1
		gone := f.order("bob")
		f.load(10, 2, record(a, order.StatusConfirmed), record(c, order.StatusPaid), record(gone, order.StatusCancelled), record(b, order.StatusConfirmed))
		f.has(4, 0, 6)
		m := f.meta()
		require.True(f, m.Loaded)
		require.EqualValues(f, 17, m.Applied)
		require.EqualValues(f, 3, m.Epoch)
		require.Equal(f, order.SaleOpen, m.State)
		require.Equal(f, f.sale.StartsAt.UnixMilli(), m.StartsAt.UnixMilli())
		require.Equal(f, f.sale.EndsAt.UnixMilli(), m.EndsAt.UnixMilli())
		f.is(a, stock.EntrySettled, 0)
		f.is(b, stock.EntrySettled, 1)
		f.is(c, stock.EntrySettled, 0)
		f.absent(gone)
		require.ErrorIs(f, f.reserve(f.order("ann", keyed(5)))[0].Err, stock.ErrReplay)
		ttl, err := f.rdb.TTL(f.Context(), f.key("o")).Result()
		require.NoError(f, err)
		require.EqualValues(f, -1, ttl, "a loaded sale does not expire")
		f.apply(f.change(cancelled(c)))
		f.applied(18)
		f.has(7, 0, 3)
	})
}

func TestOfTwoLoadersTheFirstToFinishWins(t *testing.T) {
	onBoth(t, func(f *fixture) {
		first, second := f.sale, f.sale
		first.Epoch, second.Epoch = 1, 2
		a, err := f.l.Begin(f.Context(), first)
		require.NoError(f, err)
		b, err := f.l.Begin(f.Context(), second)
		require.NoError(f, err)
		row := f.order("ann")
		require.NoError(f, a.Add(f.Context(), []order.Record{record(row, order.StatusConfirmed)}))
		require.NoError(f, b.Add(f.Context(), []order.Record{record(row, order.StatusConfirmed)}))
		require.NoError(f, a.Finish(f.Context(), first))
		o := f.pending("bob")
		require.ErrorIs(f, b.Finish(f.Context(), second), stock.ErrLoaded, "a higher epoch is no reason")
		f.is(o, stock.EntryPending, 0)
		f.has(8, 1, 1)
		_, err = f.l.Begin(f.Context(), second)
		require.ErrorIs(f, err, stock.ErrLoaded)
		n, err := f.rdb.Exists(f.Context(), f.key("load:1"), f.key("load:2")).Result()
		require.NoError(f, err)
		require.Zero(f, n)
	})
}

func TestALoadThatLostAPartIsRefused(t *testing.T) {
	t.Parallel()
	lose := map[string]func(f *fixture){
		"all of it":     func(f *fixture) { f.rdb.Del(f.Context(), f.key("load:1")) },
		"one shopper":   func(f *fixture) { f.rdb.HDel(f.Context(), f.key("load:1"), "s7") },
		"the last page": func(f *fixture) { f.rdb.HSet(f.Context(), f.key("load:1"), " n", 10) },
	}
	for name, lose := range lose {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(f *fixture) {
				ld, err := f.l.Begin(f.Context(), f.sale)
				require.NoError(f, err)
				require.NoError(f, ld.Add(f.Context(), f.rows(20)))
				lose(f)
				require.ErrorIs(f, ld.Finish(f.Context(), f.sale), stock.ErrIncomplete)
				require.False(f, f.meta().Loaded)
				n, err := f.rdb.Exists(f.Context(), f.key("load:1"), f.key("o")).Result()
				require.NoError(f, err)
				require.Zero(f, n)
			})
		})
	}
}

func (f *fixture) rows(n int) []order.Record {
	var rs []order.Record
	for i := range n {
		rs = append(rs, record(f.order(fmt.Sprint("s", i)), order.StatusConfirmed))
	}
	return rs
}

func TestALoadNoticesALossBetweenItsPages(t *testing.T) {
	onBoth(t, func(f *fixture) {
		ld, err := f.l.Begin(f.Context(), f.sale)
		require.NoError(f, err)
		require.NoError(f, ld.Add(f.Context(), f.rows(5)))
		f.rdb.Del(f.Context(), f.key("load:1"))
		require.ErrorIs(f, ld.Add(f.Context(), f.rows(5)), stock.ErrIncomplete)
		gone, leave := context.WithCancel(f.Context())
		leave()
		require.ErrorIs(f, ld.Add(gone, f.rows(5)), context.Canceled)
	})
}

func TestAnAbandonedLoadDisappearsAndAnAbortedOneAtOnce(t *testing.T) {
	onBoth(t, func(f *fixture) {
		ld, err := f.l.Begin(f.Context(), f.sale)
		require.NoError(f, err)
		require.NoError(f, ld.Add(f.Context(), f.rows(1)))
		ttl, err := f.rdb.TTL(f.Context(), f.key("load:1")).Result()
		require.NoError(f, err)
		require.Positive(f, ttl)
		require.NoError(f, ld.Abort(f.Context()))
		n, err := f.rdb.Exists(f.Context(), f.key("load:1")).Result()
		require.NoError(f, err)
		require.Zero(f, n)
	})
}

func TestALoadOfManyPagesAndShoppersWithManyOrders(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.sale.Total, f.sale.OrdersPerShopper = 5_000, 3
		ld, err := f.l.Begin(f.Context(), f.sale)
		require.NoError(f, err)
		for slot := range 3 {
			rs := f.rows(1_200)
			for i := range rs {
				rs[i].Slot, rs[i].Key = slot, uint64(slot+1)
			}
			require.NoError(f, ld.Add(f.Context(), rs))
		}
		require.NoError(f, ld.Finish(f.Context(), f.sale))
		f.has(1_400, 0, 3_600)
		require.ErrorIs(f, f.reserve(f.order("s7", keyed(9)))[0].Err, stock.ErrPurchaseLimit)
		es, err := f.l.Entries(f.Context(), f.sale.ID, "s1199")
		require.NoError(f, err)
		require.Len(f, es, 3)
	})
}

func TestUnloadLeavesNothingAndALaterLoadBeginsAnew(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 1)
		o := f.pending("ann")
		require.NoError(f, f.l.Urgent(f.Context(), f.sale.ID, o))
		require.NoError(f, f.l.Unload(f.Context(), f.sale.ID))
		n, err := f.rdb.Exists(f.Context(), f.key("m"), f.key("o"), f.key("d"), f.key("u")).Result()
		require.NoError(f, err)
		require.Zero(f, n)
		// What a forced rebuild finds left over goes away with the load.
		f.rdb.RPush(f.Context(), f.key("d"), "1,2,x")
		f.rdb.HSet(f.Context(), f.key("o"), "ghost", "P1,0,1")
		f.load(10, 1)
		f.has(10, 0, 0)
		require.Zero(f, f.length("d"))
		es, err := f.l.Entries(f.Context(), f.sale.ID, "ghost")
		require.NoError(f, err)
		require.Empty(f, es)
	})
}

func TestMetasOfManySalesComeInTheOrderAsked(t *testing.T) {
	onBoth(t, func(f *fixture) {
		g, h := newFixture(f.T, f.rdb), newFixture(f.T, f.rdb)
		f.load(1, 1)
		h.load(3, 1)
		ms, err := f.l.Metas(f.Context(), []int64{h.sale.ID, g.sale.ID, f.sale.ID})
		require.NoError(f, err)
		require.Equal(f, []int64{3, 0, 1}, []int64{ms[0].Total, ms[1].Total, ms[2].Total})
		require.False(f, ms[1].Loaded)
		require.WithinDuration(f, time.Now(), ms[1].Now, time.Minute)
		ms, err = f.l.Metas(f.Context(), nil)
		require.NoError(f, err)
		require.Empty(f, ms)
		require.NoError(f, f.l.Ping(f.Context()))
	})
}

// twice is a client that lost the first answer to each command and asks again.
type twice struct{}

func (twice) DialHook(next redis.DialHook) redis.DialHook { return next }
func (twice) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		_ = next(ctx, cmd)
		cmd.SetErr(nil)
		return next(ctx, cmd)
	}
}

func (twice) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func TestAPageSentAgainChangesNothing(t *testing.T) {
	onBoth(t, func(f *fixture) {
		ld, err := f.l.Begin(f.Context(), f.sale)
		require.NoError(f, err)
		f.load(0, 1) // the server knows the scripts
		require.NoError(f, f.l.Unload(f.Context(), f.sale.ID))
		f.rdb.AddHook(twice{})
		o := f.order("s7")
		o.Slot = 1
		require.NoError(f, ld.Add(f.Context(), f.rows(8)))
		require.NoError(f, ld.Add(f.Context(), []order.Record{record(o, order.StatusPaid)}))
		es, err := f.rdb.HGet(f.Context(), f.key("load:1"), "s7").Result()
		require.NoError(f, err)
		require.Equal(f, 1, strings.Count(es, "\n"), es)
	})
}
