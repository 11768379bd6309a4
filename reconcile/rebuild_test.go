package reconcile_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/order"
	"seckill/order/memory"
	"seckill/reconcile"
	"seckill/stock"
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

func TestARebuildSettlesWhatWasPendingAndLoadsTheSale(t *testing.T) {
	t.Parallel()
	s := open(t, 400, 1)
	s.buy(t, 50)
	s.reserve(t, 300) // their messages are lost
	r := reconcile.NewRebuilder(s.store, s.ledger, s.loader)
	done, err := r.Rebuild(t.Context(), s.sale.ID)
	require.NoError(t, err)
	require.Equal(t, reconcile.Rebuilt{WasLoaded: true, Settled: 300}, done)
	m := s.meta(t)
	require.Equal(t, []int64{50, 0, 350}, []int64{m.Available, m.Pending, m.Settled})
	require.Empty(t, slices.DeleteFunc(s.redis.Keys(), func(k string) bool { return !strings.Contains(k, "old") }), "what was kept aside is gone")

	s.redis.FlushAll()
	done, err = r.Rebuild(t.Context(), s.sale.ID)
	require.NoError(t, err)
	require.Equal(t, reconcile.Rebuilt{}, done)
	require.EqualValues(t, 350, s.meta(t).Settled)
}

// unsettled is a store that settles nothing.
type unsettled struct{ *memory.Store }

func (unsettled) Settle(context.Context, []order.Order) ([]order.Verdict, error) {
	return nil, errors.New("away")
}

func TestASaleIsLoadedEvenIfItsPendingOrdersCannotBeSettled(t *testing.T) {
	t.Parallel()
	s := open(t, 10, 1)
	s.reserve(t, 3)
	_, err := reconcile.NewRebuilder(unsettled{s.store}, s.ledger, s.loader).Rebuild(t.Context(), s.sale.ID)
	require.EqualError(t, err, "settle the pending orders of sale 7: away")
	m := s.meta(t)
	require.True(t, m.Loaded)
	require.EqualValues(t, 10, m.Available)
}

// unapplied is a Redis that takes no changes.
type unapplied struct {
	*stock.Ledger

	err error
}

func (u unapplied) Apply(context.Context, []order.Change) error { return u.err }

func TestARebuildFailsIfItsChangesAreNotApplied(t *testing.T) {
	t.Parallel()
	s := open(t, 10, 1)
	_, err := reconcile.NewRebuilder(s.store, unapplied{s.ledger, errors.New("away")}, s.loader).Rebuild(t.Context(), s.sale.ID)
	require.EqualError(t, err, "apply the settled orders of sale 7: away")
	_, err = reconcile.NewRebuilder(s.store, unapplied{s.ledger, stock.ErrNotLoaded}, s.loader).Rebuild(t.Context(), s.sale.ID)
	require.NoError(t, err, "withdrawn by another rebuild, whose load includes them")
	s.redis.SetError("away")
	_, err = reconcile.NewRebuilder(s.store, s.ledger, s.loader).Rebuild(t.Context(), s.sale.ID)
	require.ErrorContains(t, err, "withdraw sale 7")
}
