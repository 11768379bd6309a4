package mysql_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/testenv"
	"seckill/order"
	"seckill/order/mysql"
)

// The rate of settling one sale while unpaid orders of it expire beside, by so
// many processes, each of which rests so many times as long as a transaction
// took. Run it with -benchtime=300000x.
func BenchmarkSettleBesideExpiry(b *testing.B) {
	for _, c := range []struct{ processes, rest int }{{0, 0}, {1, 0}, {1, 3}, {4, 3}} {
		b.Run(fmt.Sprintf("%d processes, rest %d", c.processes, c.rest), func(b *testing.B) {
			store := newStore(testenv.MySQL(b))
			sale, err := store.CreateSale(b.Context(), order.Sale{
				ID: testenv.SaleID(), Title: "sale", Currency: "CNY", Total: 1e9, OrdersPerShopper: 1, UnitsPerOrder: 1,
				StartsAt: time.Now(), EndsAt: time.Now().Add(time.Hour), PayWithin: time.Second,
			})
			require.NoError(b, err)
			ids := order.NewIDMaker(1)
			settleMany(b, store, ids, sale.ID, 60_000) // due by the time the clock runs
			var expired atomic.Int64
			ctx, stop := context.WithCancel(b.Context())
			b.ResetTimer()
			var wg sync.WaitGroup
			for range c.processes {
				wg.Go(func() { expireAll(ctx, store, sale.ID, c.rest, &expired) })
			}
			settleMany(b, store, ids, sale.ID, b.N)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "orders/s")
			b.ReportMetric(float64(expired.Load())/b.Elapsed().Seconds(), "expired/s")
			stop()
			wg.Wait()
		})
	}
}

// settleMany settles so many new orders with two workers.
func settleMany(b *testing.B, store *mysql.Store, ids *order.IDMaker, saleID int64, n int) {
	b.Helper()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			batch := make([]order.Order, 256)
			for range n / len(batch) / 2 {
				fill(b, ids, saleID, batch)
				if _, err := store.Settle(b.Context(), batch); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func expireAll(ctx context.Context, store *mysql.Store, saleID int64, rest int, expired *atomic.Int64) {
	for at := uint64(0); ctx.Err() == nil; {
		began := time.Now()
		e, err := store.Expire(ctx, saleID, at)
		if err != nil {
			return
		}
		expired.Add(int64(len(e.Verdicts)))
		at = e.Seq
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(rest) * time.Since(began)):
		}
	}
}
