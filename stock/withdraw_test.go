package stock_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/order"
	"seckill/stock"
)

func TestAWithdrawnSaleIsGoneAtOnceAndItsPendingOrdersAreKept(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(10, 1)
		a, b := f.pending("ann", keyed(7)), f.pending("bob", units(3))
		f.apply(f.change(confirmed(b)))
		w, err := f.l.Withdraw(f.Context(), f.sale.ID)
		require.NoError(f, err)
		require.True(f, w.Loaded)
		require.ErrorIs(f, f.reserve(f.order("cid"))[0].Err, stock.ErrNotLoaded)
		f.load(10, 1) // another process is quicker
		again, err := f.l.Withdraw(f.Context(), f.sale.ID)
		require.NoError(f, err)

		pending := func(w *stock.Withdrawn) (got []order.Order) {
			require.NoError(f, w.Pending(f.Context(), func(os []order.Order) error { got = append(got, os...); return nil }))
			return got
		}
		require.Equal(f, []order.Order{a}, pending(w))
		require.Empty(f, pending(again))
		require.ErrorIs(f, w.Pending(f.Context(), func([]order.Order) error { return context.Canceled }), context.Canceled)
		require.NoError(f, w.Discard(f.Context()))
		require.NoError(f, again.Discard(f.Context()))
		require.Empty(f, pending(w))
		third, err := f.l.Withdraw(f.Context(), f.sale.ID)
		require.NoError(f, err)
		require.False(f, third.Loaded)
	})
}
