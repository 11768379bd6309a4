package catalog_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/catalog"
	"seckill/order"
	"seckill/stock"
)

// stores are both stores of a catalog, which can be away.
type stores struct {
	mu           sync.Mutex
	list         []order.Sale
	metas        map[int64]stock.Meta
	mysql, redis error
	lists, reads int
	ahead        time.Duration // of the clock of Redis
	slow         time.Duration // half of a read of Redis, before and after it tells the time
	onSale       func(int64)
}

var errAway = errors.New("the store is away")

func (s *stores) sales(context.Context) ([]order.Sale, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists++
	return s.list, s.mysql
}

// slowSales takes 50 ms, and fails if its caller has left by then.
func (s *stores) slowSales(ctx context.Context) ([]order.Sale, error) {
	time.Sleep(50 * time.Millisecond)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.sales(ctx)
}

func (s *stores) Metas(_ context.Context, ids []int64) ([]stock.Meta, error) {
	s.mu.Lock()
	slow := s.slow
	s.mu.Unlock()
	time.Sleep(slow)
	defer time.Sleep(slow)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	ms := make([]stock.Meta, len(ids))
	for i, id := range ids {
		ms[i] = s.metas[id]
		ms[i].Now, ms[i].Err = time.Now().Add(s.ahead), s.redis
	}
	return ms, s.redis
}

func (s *stores) Listen(ctx context.Context, _ func(int64, []order.ID), onSale func(int64)) error {
	s.mu.Lock()
	s.onSale = onSale
	s.mu.Unlock()
	<-ctx.Done()
	return nil
}

func (s *stores) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *stores) open(id, available int64) {
	now := time.Now()
	sale := order.Sale{ID: id, Total: 100, Available: 100, State: order.SaleOpen, StartsAt: now.Add(-time.Hour), EndsAt: now.Add(time.Hour)}
	s.list = append(s.list, sale)
	s.metas[id] = stock.Meta{Loaded: true, State: order.SaleOpen, StartsAt: sale.StartsAt, EndsAt: sale.EndsAt, Total: 100, Available: available}
}

// watching runs a catalog of sale 1, open with 5 of 100 units, in a bubble.
func watching(t *testing.T, test func(t *testing.T, c *catalog.Catalog, s *stores, log *bytes.Buffer)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &stores{metas: map[int64]stock.Meta{}}
		s.open(1, 5)
		var log bytes.Buffer
		c := catalog.New(s.sales, s, slog.New(slog.NewTextHandler(&log, nil)))
		require.False(t, c.Ready())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		time.Sleep(100 * time.Millisecond)
		test(t, c, s, &log)
		cancel()
		require.NoError(t, <-done)
	})
}

func refusal(t *testing.T, c *catalog.Catalog, id int64) error {
	t.Helper()
	s, ok := c.Get(id)
	require.True(t, ok)
	return s.Refusal(c.Now())
}

func TestTheCatalogFollowsMessagesAtOnceAndTheStoresWithinTwoSeconds(t *testing.T) {
	watching(t, func(t *testing.T, c *catalog.Catalog, s *stores, _ *bytes.Buffer) {
		require.True(t, c.Ready())
		require.NoError(t, refusal(t, c, 1))
		s.set(func() { m := s.metas[1]; m.State = order.SalePaused; s.metas[1] = m })
		s.onSale(1)
		time.Sleep(20 * time.Millisecond)
		require.ErrorIs(t, refusal(t, c, 1), stock.ErrPaused)

		s.set(func() { m := s.metas[1]; m.State = order.SaleOpen; s.metas[1] = m })
		time.Sleep(1100 * time.Millisecond) // the message was lost
		require.NoError(t, refusal(t, c, 1))

		s.set(func() { s.open(2, 1) })
		s.onSale(2)
		time.Sleep(30 * time.Millisecond)
		require.NoError(t, refusal(t, c, 2))
		require.Len(t, c.List(), 2)

		s.set(func() { s.list = s.list[1:] })
		time.Sleep(2100 * time.Millisecond)
		_, ok := c.Get(1)
		require.False(t, ok, "closed")
	})
}

func TestTheSoldOutFlagClearsWhenStockReturns(t *testing.T) {
	watching(t, func(t *testing.T, c *catalog.Catalog, s *stores, _ *bytes.Buffer) {
		s.set(func() { m := s.metas[1]; m.Available = 0; s.metas[1] = m })
		c.MarkSoldOut(1)
		c.MarkSoldOut(99)
		require.ErrorIs(t, refusal(t, c, 1), stock.ErrSoldOut)
		time.Sleep(3 * time.Second)
		require.ErrorIs(t, refusal(t, c, 1), stock.ErrSoldOut)
		s.set(func() { m := s.metas[1]; m.Available = 1; s.metas[1] = m })
		s.onSale(1)
		time.Sleep(20 * time.Millisecond)
		require.NoError(t, refusal(t, c, 1))
	})
}

func TestTheLastSnapshotStaysWhileAStoreIsAwayAndTheLogSaysSoOnce(t *testing.T) {
	watching(t, func(t *testing.T, c *catalog.Catalog, s *stores, log *bytes.Buffer) {
		c.MarkSoldOut(1)
		s.set(func() { s.redis, s.mysql = errAway, errAway })
		time.Sleep(10 * time.Second)
		require.ErrorIs(t, refusal(t, c, 1), stock.ErrSoldOut, "the flag too")
		require.True(t, c.Ready())
		require.Equal(t, 2, bytes.Count(log.Bytes(), []byte("out of date")))
		s.set(func() { s.redis, s.mysql = nil, nil })
		time.Sleep(3 * time.Second)
		require.NoError(t, refusal(t, c, 1))
		require.Equal(t, 2, bytes.Count(log.Bytes(), []byte("up to date again")))
	})
}

func TestASaleThatRedisLostIsNotLoaded(t *testing.T) {
	watching(t, func(t *testing.T, c *catalog.Catalog, s *stores, _ *bytes.Buffer) {
		s.set(func() { delete(s.metas, 1) })
		time.Sleep(1100 * time.Millisecond)
		require.ErrorIs(t, refusal(t, c, 1), stock.ErrNotLoaded)
	})
}

func TestASaleThatRedisLostAtItsOpeningIsNotScheduledAgain(t *testing.T) {
	watching(t, func(t *testing.T, c *catalog.Catalog, s *stores, _ *bytes.Buffer) {
		// MySQL's list is up to 1 s old: in it the sale has yet to be opened.
		s.set(func() { s.open(2, 1); s.list[1].State = order.SaleScheduled })
		time.Sleep(2100 * time.Millisecond)
		require.NoError(t, refusal(t, c, 2))
		s.set(func() { delete(s.metas, 2) })
		for range 3 {
			s.onSale(2)
			time.Sleep(30 * time.Millisecond)
			require.ErrorIs(t, refusal(t, c, 2), stock.ErrNotLoaded)
		}
	})
}

func TestTheCatalogIsNotReadyUntilBothStoresAnswered(t *testing.T) {
	t.Parallel()
	s := &stores{metas: map[int64]stock.Meta{}, mysql: errAway}
	c := catalog.New(s.sales, s, slog.Default())
	require.ErrorIs(t, c.Refresh(t.Context()), errAway)
	require.False(t, c.Ready())
	s.mysql, s.redis = nil, errAway
	require.ErrorIs(t, c.Refresh(t.Context()), errAway)
	require.False(t, c.Ready())
	s.redis = nil
	require.NoError(t, c.Refresh(t.Context()))
	require.True(t, c.Ready(), "also without a sale")
}

func TestTheClockIsThatOfRedis(t *testing.T) {
	watching(t, func(t *testing.T, c *catalog.Catalog, s *stores, _ *bytes.Buffer) {
		require.Equal(t, time.Now(), c.Now())
		s.set(func() { s.ahead = 2 * time.Hour })
		time.Sleep(1100 * time.Millisecond)
		require.Equal(t, time.Now().Add(2*time.Hour), c.Now())
		require.ErrorIs(t, refusal(t, c, 1), stock.ErrEnded)
		s.set(func() { s.ahead = -2 * time.Hour })
		time.Sleep(1100 * time.Millisecond)
		require.ErrorIs(t, refusal(t, c, 1), stock.ErrNotOpen)
		s.set(func() { s.ahead, s.slow = time.Hour, 100*time.Millisecond })
		time.Sleep(1500 * time.Millisecond)
		require.Equal(t, time.Now().Add(time.Hour), c.Now(), "read in the middle of 200 ms")
		s.set(func() { s.ahead, s.slow = 0, 100*time.Millisecond+1 })
		time.Sleep(1500 * time.Millisecond)
		require.Equal(t, time.Now().Add(time.Hour), c.Now(), "a slower read is too inexact")
	})
}

func TestAFloodOfUnknownSalesRefreshesTheCatalogOnceASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &stores{metas: map[int64]stock.Meta{}}
		c := catalog.New(s.sales, s, slog.Default())
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() { require.False(t, c.Known(t.Context(), int64(i+1))) })
		}
		wg.Wait()
		require.Equal(t, 1, s.lists)
		s.open(7, 1)
		require.False(t, c.Known(t.Context(), 7))
		time.Sleep(time.Second)
		require.True(t, c.Known(t.Context(), 7))
		require.True(t, c.Known(t.Context(), 7))
		require.Equal(t, 2, s.lists)
	})
}

func TestCallersThatAskForANewSaleDuringARefreshWaitForIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &stores{metas: map[int64]stock.Meta{}}
		s.open(7, 1)
		c := catalog.New(s.slowSales, s, slog.Default())
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				require.True(t, c.Known(t.Context(), 7))
			})
		}
		wg.Wait()
		require.Equal(t, 1, s.lists)
	})
}

func TestARefreshForANewSaleOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &stores{metas: map[int64]stock.Meta{}}
		s.open(7, 1)
		c := catalog.New(s.slowSales, s, slog.Default())
		ending, end := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer end()
		go c.Known(ending, 7)
		synctest.Wait()
		require.True(t, c.Known(t.Context(), 7))
	})
}

func TestGetAllocatesNothing(t *testing.T) {
	s := &stores{metas: map[int64]stock.Meta{}}
	s.open(1, 1)
	c := catalog.New(s.sales, s, slog.Default())
	require.NoError(t, c.Refresh(t.Context()))
	now := c.Now()
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if s, ok := c.Get(1); !ok || s.Refusal(now) != nil {
			t.Error("refused")
		}
	}))
}

func TestWhatASnapshotSays(t *testing.T) {
	t.Parallel()
	now := time.Now()
	meta := func(state order.SaleState, available int64) stock.Meta {
		return stock.Meta{Loaded: true, State: state, StartsAt: now.Add(-time.Minute), EndsAt: now.Add(time.Minute), Total: 100, Available: available}
	}
	late, early := meta(order.SaleOpen, 50), meta(order.SaleOpen, 50)
	late.EndsAt, early.StartsAt = now, now.Add(time.Second)
	for name, tc := range map[string]struct {
		state           order.SaleState // in MySQL
		meta            stock.Meta
		refusal         error
		status, display string
	}{
		"open":              {order.SaleOpen, meta(order.SaleOpen, 50), nil, "open", "available"},
		"low":               {order.SaleOpen, meta(order.SaleOpen, 10), nil, "open", "low"},
		"sold out":          {order.SaleOpen, meta(order.SaleOpen, -1), stock.ErrSoldOut, "sold_out", "none"},
		"paused":            {order.SalePaused, meta(order.SalePaused, 50), stock.ErrPaused, "paused", "available"},
		"paused in mysql":   {order.SalePaused, meta(order.SaleOpen, 50), nil, "open", "available"},
		"ended":             {order.SaleEnded, meta(order.SaleEnded, 50), stock.ErrEnded, "ended", "available"},
		"past its end":      {order.SaleOpen, late, stock.ErrEnded, "ended", "available"},
		"before its start":  {order.SaleOpen, early, stock.ErrNotOpen, "scheduled", "available"},
		"scheduled":         {order.SaleScheduled, stock.Meta{}, stock.ErrNotOpen, "scheduled", "available"},
		"lost":              {order.SaleOpen, stock.Meta{}, stock.ErrNotLoaded, "open", "available"},
		"ended, not loaded": {order.SaleEnded, stock.Meta{}, stock.ErrEnded, "ended", "available"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &stores{
				list:  []order.Sale{{ID: 1, Total: 100, Available: 100, State: tc.state, StartsAt: now.Add(-time.Minute), EndsAt: now.Add(time.Minute)}},
				metas: map[int64]stock.Meta{1: tc.meta},
			}
			c := catalog.New(s.sales, s, slog.Default())
			require.NoError(t, c.Refresh(t.Context()))
			got, ok := c.Get(1)
			require.True(t, ok)
			require.ErrorIs(t, got.Refusal(now), tc.refusal)
			require.Equal(t, tc.status, got.Status(now))
			require.Equal(t, tc.display, got.Display())
		})
	}
}

// MySQL hangs; the caller has 100 ms.
func TestKnownWaitsNoLongerThanItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &stores{metas: map[int64]stock.Meta{}}
		hang := func(ctx context.Context) ([]order.Sale, error) { <-ctx.Done(); return nil, ctx.Err() }
		c := catalog.New(hang, s, slog.Default())
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		began := time.Now()
		require.False(t, c.Known(ctx, 7))
		require.LessOrEqual(t, time.Since(began), 200*time.Millisecond)
		time.Sleep(time.Minute) // the refresh ends by itself
	})
}
