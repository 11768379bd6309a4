package stock_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
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
				r, err := c.Reserve(ctx, stock.Purchase{Order: o, Attempts: 3})
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
				rs, err := l.Reserve(ctx, o.SaleID, []stock.Purchase{{Order: o, Attempts: 3}})
				if err == nil {
					err = rs[0].Err
				}
				return err
			}, func() {}
		})
	})
}

// redisCPU is how much CPU Redis has used; nobody else may use it meanwhile.
func redisCPU(b *testing.B, rdb redis.UniversalClient) (seconds float64) {
	b.Helper()
	info, err := rdb.Info(b.Context(), "cpu").Result()
	require.NoError(b, err)
	for line := range strings.Lines(info) {
		for _, name := range []string{"used_cpu_user:", "used_cpu_sys:"} {
			if text, ok := strings.CutPrefix(line, name); ok {
				s, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
				require.NoError(b, err)
				seconds += s
			}
		}
	}
	return seconds
}

// BenchmarkLedger takes 100,000 orders through Redis in batches, and tells how
// much of its CPU each script takes for one order: with one thread, it is what
// bounds a sale.
func BenchmarkLedger(b *testing.B) {
	const batches, size = 400, 250
	l, sale, ids := benchSale(b)
	rdb, used, seq := testenv.Redis(b), map[string]float64{}, uint64(0)
	for b.Loop() {
		all := make([][]order.Order, batches)
		for i := range all {
			for range size {
				id, err := ids.Next()
				require.NoError(b, err)
				all[i] = append(all[i], order.Order{ID: id, SaleID: sale.ID, ShopperID: "shopper-" + id.String(), Quantity: 1, Key: uint64(id)})
			}
		}
		step := func(name string, batches [][]order.Order, do func(os []order.Order) error) {
			start := redisCPU(b, rdb)
			for _, os := range batches {
				require.NoError(b, do(os))
			}
			used[name] += redisCPU(b, rdb) - start
		}
		step("reserve", all, func(os []order.Order) error {
			ps := stock.Purchases(os...)
			for i := range ps {
				ps[i].Attempts = 3
			}
			_, err := l.Reserve(b.Context(), sale.ID, ps)
			return err
		})
		step("apply", all, func(os []order.Order) error {
			seq++
			vs := make([]order.Verdict, len(os))
			for i, o := range os {
				vs[i] = confirmed(o)
			}
			return l.Apply(b.Context(), []order.Change{{SaleID: sale.ID, Seq: seq, Verdicts: vs}})
		})
		step("due", all[:1], func([]order.Order) error {
			_, err := l.Due(b.Context(), sale.ID, 1)
			return err
		})
	}
	for name, seconds := range used {
		b.ReportMetric(seconds*1e6/float64(b.N*batches*size), name+"-µs/order")
	}
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
