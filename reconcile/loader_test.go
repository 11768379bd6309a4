package reconcile_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/memory"
	"seckill/order"
	"seckill/reconcile"
)

// stubborn is a store in which some sales cannot be opened, or not be read.
type stubborn struct {
	*memory.Store

	shut, unreadable int64
}

func (s stubborn) Operate(ctx context.Context, op order.Operation) (order.Sale, error) {
	if op.SaleID == s.shut {
		return order.Sale{}, errors.New("it is stubborn")
	}
	return s.Store.Operate(ctx, op)
}

func (s stubborn) Snapshot(ctx context.Context, saleID int64, page func([]order.Record) error) (order.Sale, error) {
	if saleID == s.unreadable {
		return order.Sale{}, errors.New("it cannot be read")
	}
	return s.Store.Snapshot(ctx, saleID, page)
}

func TestASaleThatCannotBeOpenedOrLoadedKeepsNoOtherFromIt(t *testing.T) {
	t.Parallel()
	s := open(t, 3, 1)
	ids := []int64{100, 101, 102, 103, 104, 105, 106, 107, 108, 109}
	for _, id := range ids {
		_, err := s.store.CreateSale(t.Context(), order.Sale{
			ID: id, Title: "t", PriceMinor: 1, Currency: "CNY", Total: 1, OrdersPerShopper: 1, UnitsPerOrder: 1,
			StartsAt: time.Now().Add(time.Minute).UTC(), EndsAt: time.Now().Add(time.Hour).UTC(), PayWithin: time.Minute,
		})
		require.NoError(t, err)
	}
	store, log := stubborn{s.store, 109, 108}, &lines{}
	l := reconcile.NewLoader(store, store, s.ledger, s.queue, slog.New(slog.NewTextHandler(log, nil)))
	for range 4 { // all are opened, then four at a time are loaded
		require.NoError(t, l.Step(t.Context()))
	}
	sales, err := s.store.Sales(t.Context())
	require.NoError(t, err)
	for _, sale := range sales {
		want := order.SaleOpen
		if sale.ID == 109 {
			want = order.SaleScheduled
		}
		require.Equal(t, want, sale.State, sale.ID)
	}
	require.Equal(t, 1, strings.Count(log.text(), `"sale not opened, will try again" sale_id=109`), log.text())
	require.Contains(t, log.text(), `"sale not loaded, will try again" sale_id=108`)
	require.Eventually(t, func() bool {
		require.NoError(t, l.Step(t.Context()))
		ms, err := s.ledger.Metas(t.Context(), ids)
		require.NoError(t, err)
		loaded := 0
		for _, m := range ms {
			if m.Loaded {
				loaded++
			}
		}
		return loaded == 8
	}, 10*time.Second, time.Millisecond)
}
