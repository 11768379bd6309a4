package reconcile_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/order"
	"seckill/reconcile"
)

func TestARebuildIsForSalesThatBelongIntoRedis(t *testing.T) {
	t.Parallel()
	s := open(t, 10, 1)
	r := reconcile.NewRebuilder(s.store, s.ledger, s.loader)
	for _, to := range []order.SaleState{order.SaleEnded, order.SaleClosed} {
		_, err := s.store.SetSaleState(t.Context(), string(to), s.sale.ID, to)
		require.NoError(t, err)
	}
	_, err := r.Rebuild(t.Context(), s.sale.ID)
	require.ErrorIs(t, err, reconcile.ErrNotInRedis)
	require.True(t, s.meta(t).Loaded, "it was left alone")
	_, err = r.Rebuild(t.Context(), 4711)
	require.ErrorIs(t, err, order.ErrNotFound)
}
