package stock_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
	"seckill/stock"
)

func TestAScanReturnsEveryEntryAndEndsAtZero(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(3000, 1)
		want := map[order.ID]bool{}
		for i := range 20 {
			var os []order.Order
			for j := range 100 {
				o := f.order(fmt.Sprintf("s%d", i*100+j))
				os, want[o.ID] = append(os, o), true
			}
			f.reserve(os...)
		}
		got := map[order.ID]bool{}
		for cursor, first := uint64(0), true; first || cursor != 0; first = false {
			es, next, err := f.l.Scan(f.Context(), f.sale.ID, cursor, 100)
			require.NoError(f, err)
			for _, e := range es {
				require.Equal(f, stock.EntryPending, e.State)
				got[e.ID] = true
			}
			cursor = next
		}
		require.Equal(f, want, got)
	})
}

func TestTheEntriesOfManyShoppersAreReadAtOnce(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 2)
		a, b := f.pending("ann", keyed(1)), f.pending("bob", units(3))
		a2 := f.pending("ann", keyed(2))
		f.apply(f.change(confirmed(b)))
		es, err := f.l.EntriesOf(f.Context(), f.sale.ID, []string{"bob", "nobody", "ann"})
		require.NoError(f, err)
		require.Equal(f, []stock.Entry{
			{Order: b, State: stock.EntrySettled}, {Order: a, State: stock.EntryPending}, {Order: a2, State: stock.EntryPending},
		}, es)
		es, err = f.l.EntriesOf(f.Context(), f.sale.ID, nil)
		require.NoError(f, err)
		require.Empty(f, es)
	})
}

func TestOneOfTheFleetGetsAClaimAndMayKeepIt(t *testing.T) {
	onBoth(t, func(f *fixture) {
		claim := func() bool {
			got, err := f.l.Claim(f.Context(), f.sale.ID, "test", 300*time.Millisecond)
			require.NoError(f, err)
			return got
		}
		require.True(f, claim())
		require.False(f, claim())
		require.NoError(f, f.l.Keep(f.Context(), f.sale.ID, "test", time.Minute))
		require.False(f, claim())
		ttl, err := f.rdb.PTTL(f.Context(), f.key("claim:test")).Result()
		require.NoError(f, err)
		require.Greater(f, ttl, 30*time.Second)
		require.NoError(f, f.rdb.Del(f.Context(), f.key("claim:test")).Err())
		require.True(f, claim())
	})
}
