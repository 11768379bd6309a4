package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"seckill/internal/testenv"
	"seckill/order"
	"seckill/order/memory"
	"seckill/queue"
	"seckill/reconcile"
	"seckill/stock"
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

func (s stubborn) Snapshot(ctx context.Context, saleID int64, page func([]order.Record) error, returns func([]order.Returns) error) (order.Sale, error) {
	if saleID == s.unreadable {
		return order.Sale{}, errors.New("it cannot be read")
	}
	return s.Store.Snapshot(ctx, saleID, page, returns)
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
	store, log := stubborn{s.store, 109, 108}, &testenv.Logs{}
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
	require.Equal(t, 1, strings.Count(log.String(), `"sale not opened, will try again" sale_id=109`), log.String())
	require.Contains(t, log.String(), `"sale not loaded, will try again" sale_id=108`)
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

func TestALoadBringsEveryLiveOrderBackAfterAWipe(t *testing.T) {
	t.Parallel()
	s := open(t, 5000, 1)
	for range 25 {
		require.NoError(t, pool{s}.Settle(t.Context(), s.reserve(t, 100)))
	}
	s.redis.FlushAll()
	require.NotEmpty(t, s.audit(t).Discrepancies)
	require.NoError(t, s.loader.Load(t.Context(), s.sale.ID))
	m := s.meta(t)
	require.EqualValues(t, 2500, m.Settled)
	require.EqualValues(t, 2500, m.Available)
	require.Empty(t, s.audit(t).Discrepancies)
	require.NoError(t, s.loader.Load(t.Context(), s.sale.ID), "a loaded sale is left alone")
	require.Equal(t, m.Epoch, s.meta(t).Epoch)
}

// snapshots counts those that are taken of a store.
type snapshots struct {
	*memory.Store

	n atomic.Int64
}

func (s *snapshots) Snapshot(ctx context.Context, id int64, page func([]order.Record) error, returns func([]order.Returns) error) (order.Sale, error) {
	s.n.Add(1)
	return s.Store.Snapshot(ctx, id, func(rs []order.Record) error {
		time.Sleep(20 * time.Millisecond) // a large sale
		return page(rs)
	}, returns)
}

func TestAFlushedSaleIsReadByOneProcessOfMany(t *testing.T) {
	t.Parallel()
	s := open(t, 5000, 1)
	for range 20 {
		require.NoError(t, pool{s}.Settle(t.Context(), s.reserve(t, 100)))
	}
	s.redis.FlushAll()
	store := &snapshots{Store: s.store}
	var wg sync.WaitGroup
	for range 5 {
		l := reconcile.NewLoader(store, store, s.ledger, s.queue, quiet())
		wg.Go(func() { assert.NoError(t, l.Load(t.Context(), s.sale.ID)) })
	}
	wg.Wait()
	require.EqualValues(t, 1, store.n.Load())
	require.EqualValues(t, 2000, s.meta(t).Settled)
}

func TestALoaderThatDiedHoldsUpTheNextForSecondsOnly(t *testing.T) {
	t.Parallel()
	s := open(t, 10, 1)
	s.redis.FlushAll()
	mine, err := s.ledger.Claim(t.Context(), s.sale.ID, "load", 3*time.Second)
	require.NoError(t, err)
	require.True(t, mine)
	done := make(chan error, 1)
	go func() { done <- s.loader.Load(t.Context(), s.sale.ID) }()
	select {
	case err := <-done:
		require.Fail(t, "the other one may be alive", err)
	case <-time.After(500 * time.Millisecond):
	}
	s.redis.FastForward(3 * time.Second)
	require.NoError(t, <-done)
	require.True(t, s.meta(t).Loaded)
}

func TestTheLoaderOpensASaleTenMinutesAhead(t *testing.T) {
	t.Parallel()
	s := open(t, 1, 1)
	for id, starts := range map[int64]time.Duration{8: 9 * time.Minute, 9: time.Hour} {
		_, err := s.store.CreateSale(t.Context(), order.Sale{
			ID: id, Title: "t", Currency: "CNY", Total: 1, OrdersPerShopper: 1, UnitsPerOrder: 1,
			StartsAt: time.Now().Add(starts).UTC(), EndsAt: time.Now().Add(2 * time.Hour).UTC(), PayWithin: time.Minute,
		})
		require.NoError(t, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.loader.Run(ctx) }()
	loaded := func(id int64) bool {
		ms, err := s.ledger.Metas(t.Context(), []int64{id})
		require.NoError(t, err)
		return ms[0].Loaded
	}
	require.Eventually(t, func() bool { return loaded(8) }, 10*time.Second, 50*time.Millisecond)
	require.False(t, loaded(9))
	cancel()
	require.NoError(t, <-done)
}

// waiting is a store whose snapshots wait until they are let go.
type waiting struct {
	*memory.Store

	n     atomic.Int64
	letGo chan struct{}
}

func (w *waiting) Snapshot(ctx context.Context, id int64, page func([]order.Record) error, returns func([]order.Returns) error) (order.Sale, error) {
	w.n.Add(1)
	<-w.letGo
	return w.Store.Snapshot(ctx, id, page, returns)
}

func TestAProcessLoadsFourSalesAtATime(t *testing.T) {
	t.Parallel()
	s := open(t, 1, 1)
	for id := range int64(6) {
		_, err := s.store.CreateSale(t.Context(), order.Sale{
			ID: 100 + id, Title: "t", Currency: "CNY", Total: 1, OrdersPerShopper: 1, UnitsPerOrder: 1,
			StartsAt: time.Now().Add(-time.Minute).UTC(), EndsAt: time.Now().Add(time.Hour).UTC(), PayWithin: time.Minute,
		})
		require.NoError(t, err)
		_, err = s.store.SetSaleState(t.Context(), fmt.Sprint("open-", id), 100+id, order.SaleOpen)
		require.NoError(t, err)
	}
	store := &waiting{Store: s.store, letGo: make(chan struct{})}
	l := reconcile.NewLoader(store, store, s.ledger, s.queue, quiet())
	done := make(chan error, 1)
	go func() { done <- l.Step(t.Context()) }()
	require.Eventually(t, func() bool { return store.n.Load() >= 4 }, 10*time.Second, time.Millisecond)
	require.Never(t, func() bool { return store.n.Load() > 4 }, 100*time.Millisecond, 10*time.Millisecond)
	close(store.letGo)
	require.NoError(t, <-done)
}

func TestASaleIsLoadedAgainWhenTheConsumersHavePassedTheQueue(t *testing.T) {
	t.Parallel()
	s := open(t, 10, 1)
	s.redis.FlushAll()
	s.queue.end.Store(5)
	done := make(chan error, 1)
	go func() { done <- s.loader.Load(t.Context(), s.sale.ID) }()
	select {
	case err := <-done:
		require.Fail(t, "orders are on their way to MySQL", err)
	case <-time.After(300 * time.Millisecond):
	}
	s.queue.at.Store(5)
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(5 * time.Second):
		require.Fail(t, "it waits for nothing")
	}
}

// noOffsets is a queue that does not answer.
type noOffsets struct{ *offsets }

func (noOffsets) MaxOffsets(context.Context) (queue.Offsets, error) { return nil, errors.New("away") }

func TestASaleIsLoadedWithoutTheQueue(t *testing.T) {
	t.Parallel()
	s, log := open(t, 10, 1), &testenv.Logs{}
	_, err := s.store.CreateSale(t.Context(), order.Sale{
		ID: 8, Title: "t", Currency: "CNY", Total: 1, OrdersPerShopper: 1, UnitsPerOrder: 1,
		StartsAt: time.Now().UTC(), EndsAt: time.Now().Add(time.Hour).UTC(), PayWithin: time.Minute,
	})
	require.NoError(t, err)
	l := reconcile.NewLoader(s.store, s.store, s.ledger, noOffsets{s.queue}, slog.New(slog.NewTextHandler(log, nil)))
	require.NoError(t, l.Load(t.Context(), 8))
	require.Empty(t, log.String(), "before the first load the queue has none of its orders")
	s.redis.FlushAll()
	require.NoError(t, l.Load(t.Context(), 8))
	require.Contains(t, log.String(), `msg="loading without waiting for the queue" err=away`)
}

// halved is a store that calls between the halves of its snapshot.
type halved struct {
	*memory.Store

	n    int
	call func(n int) // of the nth snapshot
}

func (h *halved) Snapshot(ctx context.Context, id int64, page func([]order.Record) error, returns func([]order.Returns) error) (order.Sale, error) {
	h.n++
	return h.Store.Snapshot(ctx, id, func(rs []order.Record) error {
		if err := page(rs[:len(rs)/2]); err != nil {
			return err
		}
		h.call(h.n)
		return page(rs[len(rs)/2:])
	}, returns)
}

func TestALoadOfWhichRedisLosesAPartIsTriedThreeTimes(t *testing.T) {
	t.Parallel()
	for losses, want := range map[int]error{2: nil, 3: stock.ErrIncomplete} {
		s := open(t, 10, 1)
		s.buy(t, 4)
		s.redis.FlushAll()
		store := &halved{Store: s.store, call: func(n int) {
			if n <= losses {
				s.redis.FlushAll()
			}
		}}
		err := reconcile.NewLoader(store, store, s.ledger, s.queue, quiet()).Load(t.Context(), s.sale.ID)
		require.ErrorIs(t, err, want)
		require.Equal(t, 3, store.n)
		require.Equal(t, want == nil, s.meta(t).Loaded)
	}
}

// keeping counts the claims that are kept.
type keeping struct {
	*stock.Ledger

	n   int
	err error
}

func (k *keeping) Keep(ctx context.Context, saleID int64, work string, ttl time.Duration) error {
	k.n++
	return errors.Join(k.err, k.Ledger.Keep(ctx, saleID, work, ttl))
}

func TestALongLoadKeepsItsClaim(t *testing.T) {
	t.Parallel()
	s := open(t, 10, 1)
	s.buy(t, 4)
	for took, kept := range map[time.Duration]int{0: 0, 1050 * time.Millisecond: 1} {
		for _, keepErr := range []error{nil, errors.New("not kept")} {
			s.redis.FlushAll()
			store, ledger := &halved{Store: s.store, call: func(int) { time.Sleep(took) }}, &keeping{Ledger: s.ledger, err: keepErr}
			err := reconcile.NewLoader(store, store, ledger, s.queue, quiet()).Load(t.Context(), s.sale.ID)
			require.Equal(t, kept, ledger.n)
			require.Equal(t, kept > 0 && keepErr != nil, err != nil, "%v", err)
			require.Equal(t, err == nil, s.meta(t).Loaded)
		}
	}
}
