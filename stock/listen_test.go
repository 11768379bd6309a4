package stock_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"seckill/catalog"
	"seckill/order"
	"seckill/stock"
)

// listener collects what a Listen awaits of one sale.
type listener struct {
	mu      sync.Mutex
	ids     []order.ID
	batches int
	sales   []int64
}

func (f *fixture) listen() *listener {
	f.Helper()
	e := &listener{}
	ctx, cancel := context.WithCancel(f.Context())
	done := make(chan error, 1)
	go func() {
		done <- f.l.Listen(ctx, func(sale int64, ids []order.ID) {
			e.mu.Lock()
			defer e.mu.Unlock()
			if sale == f.sale.ID {
				e.ids = append(e.ids, ids...)
				e.batches++
			}
		}, func(sale int64) {
			e.mu.Lock()
			defer e.mu.Unlock()
			if sale == f.sale.ID || sale == stock.AllSales {
				e.sales = append(e.sales, sale)
			}
		})
	}()
	f.Cleanup(func() {
		cancel()
		require.NoError(f, <-done)
	})
	f.awaits(func() bool { return len(e.sales) == 1 && e.sales[0] == stock.AllSales }, e)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sales = nil
	return e
}

func (f *fixture) awaits(cond func() bool, e *listener) {
	f.Helper()
	require.Eventually(f, func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return cond()
	}, 5*time.Second, 5*time.Millisecond, "heard %+v", e)
}

func TestApplyPublishesItsOrdersOncePerBatchAndSalesThatChanged(t *testing.T) {
	onBoth(t, func(f *fixture) {
		e := f.listen()
		f.load(2, 1)
		f.awaits(func() bool { return len(e.sales) == 1 }, e) // the load
		a, b := f.pending("ann"), f.pending("bob")
		ca, cb := f.change(confirmed(a)), f.change(rejected(b))
		f.apply(ca, cb)
		f.awaits(func() bool { return len(e.ids) == 2 }, e)
		require.Equal(f, []order.ID{a.ID, b.ID}, e.ids)
		require.Equal(f, 1, e.batches)
		f.awaits(func() bool { return len(e.sales) == 2 }, e) // from 0 units to 1

		f.apply(ca, cb) // nothing new to say
		c := f.pending("cid")
		f.replay(confirmed(c))
		f.awaits(func() bool { return len(e.ids) == 3 }, e)
		require.Equal(f, c.ID, e.ids[2])
		f.apply(f.saleChange(order.SaleEffect{State: order.SalePaused}))
		f.awaits(func() bool { return len(e.sales) == 3 }, e)
		require.NoError(f, f.l.Announce(f.Context(), f.sale.ID))
		f.awaits(func() bool { return len(e.sales) == 4 }, e)
	})
}

func TestResultsOfALargeBatchComeInPieces(t *testing.T) {
	onBoth(t, func(f *fixture) {
		e := f.listen()
		f.load(1_000, 1)
		var vs []order.Verdict
		for i := range 600 {
			vs = append(vs, confirmed(f.order(fmt.Sprint("s", i))))
		}
		f.apply(f.change(vs...))
		f.awaits(func() bool { return len(e.ids) == 600 && e.batches == 3 }, e)
		for _, v := range vs { // a cluster may carry the pieces in any order
			require.Contains(f, e.ids, v.ID)
		}
	})
}

func TestListenSubscribesAgainAndSaysThatAnythingMayHaveChanged(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	f := newFixture(t, rdb)
	e := f.listen()
	server.Close()
	require.NoError(t, server.Restart())
	f.awaits(func() bool { return len(e.sales) > 0 && e.sales[0] == stock.AllSales }, e)
	require.NoError(t, f.l.Announce(t.Context(), f.sale.ID))
	f.awaits(func() bool { return e.sales[len(e.sales)-1] == f.sale.ID }, e)
}

func TestTheCatalogHearsOfWhatTheLedgerDoes(t *testing.T) {
	onBoth(t, func(f *fixture) {
		list := []order.Sale{f.sale}
		c := catalog.New(func(context.Context) ([]order.Sale, error) { return list, nil }, f.l, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(f.Context())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		becomes := func(want error) {
			f.Helper()
			require.Eventually(f, func() bool {
				s, ok := c.Get(f.sale.ID)
				err := error(nil)
				if ok {
					err = s.Refusal(c.Now())
				}
				return ok && err == want //nolint:errorlint // as it is
			}, 5*time.Second, 5*time.Millisecond)
		}
		becomes(stock.ErrNotLoaded)
		f.load(1, 1)
		becomes(nil)
		o := f.pending("ann")
		becomes(stock.ErrSoldOut)
		f.apply(f.change(rejected(o)))
		becomes(nil)
		f.apply(f.saleChange(order.SaleEffect{State: order.SalePaused}))
		becomes(stock.ErrPaused)
		require.NoError(f, f.l.Unload(f.Context(), f.sale.ID))
		becomes(stock.ErrNotLoaded)
		cancel()
		require.NoError(f, <-done)
	})
}
