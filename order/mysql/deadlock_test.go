package mysql_test

import (
	"context"
	"database/sql"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/internal/testenv"
	"seckill/order"
	"seckill/order/mysql"
)

// deadlocks counts those after which a store tried a transaction again.
type deadlocks struct {
	slog.Handler

	n atomic.Int64
}

func (d *deadlocks) Enabled(context.Context, slog.Level) bool { return true }

func (d *deadlocks) Handle(_ context.Context, record slog.Record) error {
	record.Attrs(func(a slog.Attr) bool {
		if strings.Contains(a.Value.String(), "Error 1213") {
			d.n.Add(1)
		}
		return true
	})
	return nil
}

// Where no slot is wanted twice, locks are taken in one order: orders by ID,
// then the sales by ID. Orders that are rejected as sold out are committed, so that
// those who wait for them find a verdict.
func TestBatchesThatOverlapDoNotDeadlock(t *testing.T) {
	t.Parallel()
	testenv.MySQLs(t, func(t *testing.T, db *sql.DB) {
		t.Parallel()
		counter := &deadlocks{Handler: slog.DiscardHandler}
		store := mysql.NewStore(db, slog.New(counter))
		var sales []order.Sale
		for range 8 {
			sales = append(sales, createSale(t, store, 50))
		}
		ids := order.NewIDMaker(rand.Int64N(1 << 13))
		var orders []order.Order
		for i := range 800 {
			id, err := ids.Next()
			require.NoError(t, err)
			orders = append(orders, order.Order{ID: id, SaleID: sales[i%8].ID, ShopperID: id.String(), Quantity: 1})
		}
		var wg sync.WaitGroup
		for from := 0; from < len(orders); from += 40 {
			for range 4 { // redeliveries of one batch, each in an order of its own
				batch := append([]order.Order(nil), orders[from:from+40]...)
				rand.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
				wg.Go(func() {
					_, err := store.Settle(t.Context(), batch)
					if err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		require.Zero(t, counter.n.Load(), "deadlocks")
		for _, sale := range sales {
			tally, err := store.Tally(t.Context(), sale.ID)
			require.NoError(t, err)
			require.Equal(t, map[order.Status]int64{order.StatusConfirmed: 50, order.StatusRejected: 50}, tally.Orders)
		}
	})
}
