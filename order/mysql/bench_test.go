package mysql_test

import (
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/internal/testenv"
	"seckill/order"
)

// The rate of new orders of one sale: batches of 256 by two workers, as the
// consumer settles, beside one order per transaction on eight connections.
// SECKILL_MYSQL_DSN chooses the server.
func BenchmarkSettle(b *testing.B) {
	for _, c := range []struct {
		name           string
		workers, batch int
		units          int
	}{
		{"single orders, 8 workers", 8, 1, 1e9},
		{"batches of 256, 1 worker", 1, 256, 1e9},
		{"batches of 256, 2 workers", 2, 256, 1e9},
		{"sold out, 2 workers", 2, 256, 0},
	} {
		b.Run(c.name, func(b *testing.B) {
			db := testenv.MySQL(b)
			store := newStore(db)
			sale := createSale(b, store, c.units)
			ids := order.NewIDMaker(1)
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ResetTimer()
			var wg sync.WaitGroup
			for range c.workers {
				wg.Go(func() {
					batch := make([]order.Order, c.batch)
					for left.Add(-int64(c.batch)) > -int64(c.batch) {
						fill(b, ids, sale.ID, batch)
						if _, err := store.Settle(b.Context(), batch); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "orders/s")
			b.StopTimer()
			requireSold(b, db, sale.ID)
		})
	}
}

// fill makes new orders of shoppers whom the slot index meets at random.
func fill(b *testing.B, ids *order.IDMaker, saleID int64, batch []order.Order) {
	b.Helper()
	for i := range batch {
		id, err := ids.Next()
		if err != nil {
			b.Error(err)
		}
		batch[i] = order.Order{ID: id, SaleID: saleID, ShopperID: fmt.Sprintf("u%012x", uint64(id)*0x9E3779B97F4A7C15>>16), Quantity: 1}
	}
}

func requireSold(tb testing.TB, db *sql.DB, saleID int64) {
	tb.Helper()
	tally, err := newStore(db).Tally(tb.Context(), saleID)
	require.NoError(tb, err)
	require.EqualValues(tb, tally.Sale.Total-tally.Sale.Available, tally.LiveUnits)
}
