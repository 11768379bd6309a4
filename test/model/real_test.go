package model_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/testenv"
	"seckill/order"
	"seckill/order/memory"
	"seckill/queue"
	"seckill/reconcile"
	"seckill/stock"
)

// noQueue is a queue with nothing in it.
type noQueue struct{}

func (noQueue) MaxOffsets(context.Context) (queue.Offsets, error) { return queue.Offsets{}, nil }
func (noQueue) Committed(context.Context) (queue.Offsets, error)  { return queue.Offsets{}, nil }

// The trace of the mutant "no auditor" on the code itself: what it ends in is
// what the model says, and a replay of the verdict, which is all that the
// auditor does, ends it.
func TestTheTraceWithoutAnAuditorEndsInTheCodeAsInTheModel(t *testing.T) {
	t.Parallel()
	ctx, rdb := t.Context(), testenv.Miniredis(t)
	store, ledger := memory.NewStore(), stock.New(rdb)
	loader := reconcile.NewLoader(store, store, ledger, noQueue{}, slog.New(slog.DiscardHandler))
	id, err := order.NewIDMaker(1).Next()
	require.NoError(t, err)
	sale, err := store.CreateSale(ctx, order.Sale{
		ID: testenv.SaleID(), Title: "t", Currency: "CNY", Total: 1, OrdersPerShopper: 1, UnitsPerOrder: 1,
		StartsAt: time.Now().Add(-time.Hour), EndsAt: time.Now().Add(time.Hour), PayWithin: time.Minute,
	})
	require.NoError(t, err)
	_, err = store.SetSaleState(ctx, "open", sale.ID, order.SaleOpen)
	require.NoError(t, err)
	require.NoError(t, loader.Load(ctx, sale.ID))
	o := order.Order{ID: id, SaleID: sale.ID, ShopperID: "alice", Quantity: 1}

	reserve := func() {
		rs, err := ledger.Reserve(ctx, sale.ID, stock.Purchases(o))
		require.NoError(t, err)
		require.NoError(t, rs[0].Err)
	}
	reserve()                                        // 1: its answer is lost
	held, err := store.Settle(ctx, []order.Order{o}) // 2: the sweeper's
	require.NoError(t, err)
	_, err = store.Cancel(ctx, o.ID) // 3
	require.NoError(t, err)
	require.NoError(t, rdb.FlushAll(ctx).Err())                // 4: a miniredis of its own
	require.NoError(t, loader.Load(ctx, sale.ID))              // 5, 6
	reserve()                                                  // 7, and 8: nothing is sent
	require.NoError(t, ledger.Apply(ctx, order.Changes(held))) // 9

	entry := func() stock.EntryState {
		e, ok, err := ledger.Entry(ctx, sale.ID, o.ShopperID, o.ID)
		require.NoError(t, err)
		require.True(t, ok)
		return e.State
	}
	require.Equal(t, stock.EntrySettled, entry(), "settled in Redis, cancelled in MySQL, and nothing pending")
	decided, _, err := store.Verdicts(ctx, []order.Order{o})
	require.NoError(t, err)
	require.NoError(t, ledger.Replay(ctx, decided))
	require.Equal(t, stock.EntryCancelled, entry())
	ms, err := ledger.Metas(ctx, []int64{sale.ID})
	require.NoError(t, err)
	require.EqualValues(t, 1, ms[0].Available)
}
