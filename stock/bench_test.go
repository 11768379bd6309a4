package stock_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/internal/testenv"
	"seckill/order"
	"seckill/stock"
)

// benchSale loads a sale of a million units and more.
func benchSale(b *testing.B) (*stock.Ledger, order.Sale, *order.IDMaker) {
	b.Helper()
	rdb := testenv.Redis(b)
	l, sale := stock.New(rdb), sampleSale()
	sale.Total = 1 << 40
	ld, err := l.Begin(b.Context(), sale)
	require.NoError(b, err)
	require.NoError(b, ld.Finish(b.Context(), sale))
	b.Cleanup(func() { _ = l.Unload(context.Background(), sale.ID) })
	return l, sale, order.NewIDMaker(rand.Int64N(8_000))
}

// BenchmarkReserve compares 256 callers through the collector with as many
// that each make a script call of their own.
func BenchmarkReserve(b *testing.B) {
	run := func(b *testing.B, reserve func(l *stock.Ledger) (func(context.Context, order.Order) error, func())) {
		l, sale, ids := benchSale(b)
		one, done := reserve(l)
		defer done()
		b.SetParallelism(128) // of 2 cores
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				id, err := ids.Next()
				if err == nil {
					err = one(b.Context(), order.Order{ID: id, SaleID: sale.ID, ShopperID: id.String(), Quantity: 1})
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "orders/s")
	}
	b.Run("collector", func(b *testing.B) {
		run(b, func(l *stock.Ledger) (func(context.Context, order.Order) error, func()) {
			c := stock.NewCollector(l, stock.CollectorOptions{})
			return func(ctx context.Context, o order.Order) error {
				r, err := c.Reserve(ctx, o)
				if err == nil {
					err = r.Err
				}
				return err
			}, c.Close
		})
	})
	b.Run("one_call_each", func(b *testing.B) {
		run(b, func(l *stock.Ledger) (func(context.Context, order.Order) error, func()) {
			return func(ctx context.Context, o order.Order) error {
				rs, err := l.Reserve(ctx, o.SaleID, []order.Order{o})
				if err == nil {
					err = rs[0].Err
				}
				return err
			}, func() {}
		})
	})
}

// BenchmarkApply writes back batches of 256 confirmed orders.
func BenchmarkApply(b *testing.B) {
	l, sale, ids := benchSale(b)
	var seq uint64
	for b.Loop() {
		b.StopTimer()
		var os []order.Order
		var vs []order.Verdict
		for range 256 {
			id, err := ids.Next()
			require.NoError(b, err)
			o := order.Order{ID: id, SaleID: sale.ID, ShopperID: id.String(), Quantity: 1}
			os, vs = append(os, o), append(vs, confirmed(o))
		}
		_, err := l.Reserve(b.Context(), sale.ID, os)
		require.NoError(b, err)
		seq++
		b.StartTimer()
		require.NoError(b, l.Apply(b.Context(), []order.Change{{SaleID: sale.ID, Seq: seq, Verdicts: vs}}))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/256, "ns/order")
}

// The goals: a pending order under 150 bytes, a settled one under 100, at
// 100,000 orders, the line for the sweeper included.
func TestAnOrderTakesFewBytes(t *testing.T) {
	t.Parallel()
	f := newFixture(t, testenv.Redis(t))
	const n, page = 100_000, 1_000
	f.load(2*n, 1)
	bytes := func() float64 {
		var sum int64
		for _, k := range []string{"o", "d"} {
			size, err := f.rdb.MemoryUsage(t.Context(), f.key(k), 0).Result()
			if k == "o" {
				require.NoError(t, err)
			}
			sum += size
		}
		return float64(sum) / n
	}
	var pages [][]order.Order
	for i := range n / page {
		var os []order.Order
		for j := range page {
			os = append(os, f.order(fmt.Sprintf("shopper-%06d", i*page+j)))
		}
		pages = append(pages, os)
		f.reserve(os...)
	}
	pending := bytes()
	for _, os := range pages {
		var vs []order.Verdict
		for _, o := range os {
			vs = append(vs, confirmed(o))
		}
		f.apply(f.change(vs...))
	}
	require.Empty(t, f.due(1))
	settled := bytes()
	t.Logf("bytes an order: pending %.0f, settled %.0f", pending, settled)
	require.Less(t, pending, 150.0)
	require.Less(t, settled, 100.0)
}
