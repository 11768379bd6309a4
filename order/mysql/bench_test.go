package mysql_test

import (
	"database/sql"
	"fmt"
	"strings"
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

// The list of a shopper who has bought and cancelled for an hour, beside one with a
// single order. SECKILL_MYSQL_DSN chooses the server.
func BenchmarkShopperList(b *testing.B) {
	db := testenv.MySQL(b)
	store, ids := newStore(db), order.NewIDMaker(1)
	sale := createSale(b, store, 1e9)
	insert := func(n int, shopper func(int) string) {
		for from := 0; from < n; from += 500 {
			rows := make([]string, 500)
			for i := range rows {
				id, err := ids.Next()
				require.NoError(b, err)
				rows[i] = fmt.Sprintf("(%d, %d, '%s', 0, NULL, 1, 1, 'cancelled', '', 1, %d, '', NOW(3), NOW(3))", id, sale.ID, shopper(from+i), id)
			}
			_, err := db.ExecContext(b.Context(), `INSERT INTO orders (id, sale_id, shopper_id, slot, live, quantity, unit_price, status, reason,
				attempt, idem_key, reference, created_at, decided_at) VALUES `+strings.Join(rows, ", "))
			require.NoError(b, err)
		}
	}
	insert(21_000, func(int) string { return "hoarder" })
	insert(50_000, func(i int) string { return fmt.Sprint("shopper-", i) })
	_, err := db.ExecContext(b.Context(), "ANALYZE TABLE orders")
	require.NoError(b, err)
	for _, shopper := range []string{"hoarder", "shopper-7"} {
		b.Run(shopper, func(b *testing.B) {
			for b.Loop() {
				found, err := store.ByShopper(b.Context(), sale.ID, shopper, 0, 21)
				require.NoError(b, err)
				require.NotEmpty(b, found)
			}
		})
	}
}
