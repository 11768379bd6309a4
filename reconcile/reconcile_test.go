package reconcile_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"seckill/audit"
	"seckill/internal/loop"
	"seckill/order"
	"seckill/order/memory"
	"seckill/queue"
	"seckill/reconcile"
	"seckill/stock"
)

// shop is a sale on the in-memory store and a miniredis of its own.
type shop struct {
	store  *memory.Store
	redis  *miniredis.Miniredis
	ledger *stock.Ledger
	queue  *offsets
	loader *reconcile.Loader
	ids    *order.IDMaker
	sale   order.Sale
}

// offsets is a queue of which a test says how far it is.
type offsets struct{ end, at atomic.Int64 }

func (o *offsets) MaxOffsets(context.Context) (queue.Offsets, error) {
	return queue.Offsets{"q": o.end.Load()}, nil
}

func (o *offsets) Committed(context.Context) (queue.Offsets, error) {
	return queue.Offsets{"q": o.at.Load()}, nil
}

func open(t *testing.T, units, ordersPerShopper int) *shop {
	t.Helper()
	s := &shop{store: memory.NewStore(), redis: miniredis.RunT(t), queue: &offsets{}, ids: order.NewIDMaker(1)}
	rdb := goredis.NewClient(&goredis.Options{Addr: s.redis.Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	s.ledger = stock.New(rdb)
	log := slog.New(slog.DiscardHandler)
	s.loader = reconcile.NewLoader(s.store, s.store, s.ledger, s.queue, log)
	sale, err := s.store.CreateSale(t.Context(), order.Sale{
		ID: 7, Title: "t", PriceMinor: 1, Currency: "CNY", Total: units, OrdersPerShopper: ordersPerShopper, UnitsPerOrder: 5,
		StartsAt: time.Now().Add(-time.Minute).UTC(), EndsAt: time.Now().Add(time.Hour).UTC(), PayWithin: time.Minute,
	})
	require.NoError(t, err)
	s.sale, err = s.store.SetSaleState(t.Context(), "open", sale.ID, order.SaleOpen)
	require.NoError(t, err)
	require.NoError(t, s.loader.Load(t.Context(), sale.ID))
	return s
}

func (s *shop) order(t *testing.T, shopper string) order.Order {
	t.Helper()
	id, err := s.ids.Next()
	require.NoError(t, err)
	return order.Order{ID: id, SaleID: s.sale.ID, ShopperID: shopper, Quantity: 1}
}

func (s *shop) reserve(t *testing.T, n int) []order.Order {
	t.Helper()
	os := make([]order.Order, n)
	for i := range os {
		os[i] = s.order(t, fmt.Sprintf("s%d-%d", i, time.Now().UnixNano()))
	}
	rs, err := s.ledger.Reserve(t.Context(), s.sale.ID, stock.Purchases(os...))
	require.NoError(t, err)
	for _, r := range rs {
		require.NoError(t, r.Err)
	}
	return os
}

func (s *shop) meta(t *testing.T) stock.Meta {
	t.Helper()
	ms, err := s.ledger.Metas(t.Context(), []int64{s.sale.ID})
	require.NoError(t, err)
	return ms[0]
}

func (s *shop) audit(t *testing.T) audit.SaleAudit {
	t.Helper()
	as, err := audit.NewAuditor(s.store, s.ledger, audit.Grace).Audit(t.Context(), s.sale.ID)
	require.NoError(t, err)
	require.Len(t, as, 1)
	return as[0]
}

// settle is a settling worker that dies before its write-back.
func (s *shop) settle(t *testing.T, os []order.Order) []order.Verdict {
	t.Helper()
	vs, err := s.store.Settle(t.Context(), os)
	require.NoError(t, err)
	return vs
}

// pool settles and writes back, as the consumer's pool does.
type pool struct{ *shop }

func (p pool) Settle(ctx context.Context, os []order.Order) error {
	vs, err := p.store.Settle(ctx, os)
	if err != nil {
		return err
	}
	return p.ledger.Apply(ctx, order.Changes(vs))
}

func TestTheTailReplaysALostWriteBackButLeavesAFreshOneAlone(t *testing.T) {
	t.Parallel()
	s := open(t, 100, 1)
	for range 3 {
		s.settle(t, s.reserve(t, 10))
	}
	tail := reconcile.NewTail(s.store, s.ledger)
	require.NoError(t, tail.Step(t.Context()))
	require.EqualValues(t, 30, s.meta(t).Pending, "a change of this second is on its way")
	require.NoError(t, tail.Step(t.Context()))
	m := s.meta(t)
	require.EqualValues(t, 0, m.Pending)
	require.EqualValues(t, 30, m.Settled)
	require.EqualValues(t, 70, m.Available)
	require.Empty(t, s.audit(t).Discrepancies)
}

func TestTheTailCatchesUpARedisThatCameBackOlder(t *testing.T) {
	t.Parallel()
	s := open(t, 100, 1)
	require.NoError(t, pool{s}.Settle(t.Context(), s.reserve(t, 5)))
	older := s.redis.Dump() // for the failure's text
	keys := s.copyOut(t)
	require.NoError(t, pool{s}.Settle(t.Context(), s.reserve(t, 20)))
	s.copyIn(t, keys)
	require.EqualValues(t, 5, s.meta(t).Settled, older)

	tail := reconcile.NewTail(s.store, s.ledger)
	require.NoError(t, tail.Step(t.Context()))
	require.NoError(t, tail.Step(t.Context()))
	require.EqualValues(t, 25, s.meta(t).Settled, "orders whose reservation was forgotten are adopted")
	require.Empty(t, s.audit(t).Discrepancies)
}

// copyOut and copyIn take the sale's keys back to what they were.
func (s *shop) copyOut(t *testing.T) map[string]any {
	t.Helper()
	out := map[string]any{}
	for _, k := range s.redis.Keys() {
		switch s.redis.Type(k) {
		case "hash":
			fields, err := s.redis.HKeys(k)
			require.NoError(t, err)
			h := map[string]string{}
			for _, f := range fields {
				h[f] = s.redis.HGet(k, f)
			}
			out[k] = h
		case "list":
			l, err := s.redis.List(k)
			require.NoError(t, err)
			out[k] = l
		}
	}
	return out
}

func (s *shop) copyIn(t *testing.T, keys map[string]any) {
	t.Helper()
	s.redis.FlushAll()
	for k, v := range keys {
		switch v := v.(type) {
		case map[string]string:
			for f, x := range v {
				s.redis.HSet(k, f, x)
			}
		case []string:
			_, err := s.redis.Push(k, v...)
			require.NoError(t, err)
		}
	}
}

func TestTheSweeperSettlesWhatTheQueueLost(t *testing.T) {
	t.Parallel()
	s := open(t, 100, 1)
	lost := s.reserve(t, 300-200)
	require.NoError(t, s.ledger.Urgent(t.Context(), s.sale.ID, lost[:40]...))
	sweeper := reconcile.NewSweeper(s.store, s.ledger, pool{s}, quiet())

	require.NoError(t, sweeper.Step(t.Context()))
	require.EqualValues(t, 60, s.meta(t).Pending, "urgent ones at once, the others when they are due")
	s.redis.SetTime(time.Now().Add(31 * time.Second))
	require.NoError(t, sweeper.Step(t.Context()))
	require.EqualValues(t, 0, s.meta(t).Pending)
	require.Empty(t, s.audit(t).Discrepancies)
}

func TestTheSweeperReplaysAVerdictInsteadOfSettlingTwice(t *testing.T) {
	t.Parallel()
	s := open(t, 2, 1)
	os := s.reserve(t, 2)
	late := s.order(t, "late") // adopted elsewhere: MySQL has one unit less than Redis thinks
	s.settle(t, []order.Order{late})
	vs := s.settle(t, os)
	require.NoError(t, s.ledger.Urgent(t.Context(), s.sale.ID, os...))
	require.NoError(t, reconcile.NewSweeper(s.store, s.ledger, pool{s}, quiet()).Step(t.Context()))
	m := s.meta(t)
	require.EqualValues(t, 0, m.Pending)
	require.EqualValues(t, 1, m.Settled, "one confirmed, the other sold out and given back: %v", vs)

	tail := reconcile.NewTail(s.store, s.ledger)
	require.NoError(t, tail.Step(t.Context()))
	require.NoError(t, tail.Step(t.Context()))
	require.Empty(t, s.audit(t).Discrepancies)
}

// lostOrder is an order of more than a minute ago that no store knows.
func (s *shop) lostOrder() order.Order { return s.orderOf(-2 * time.Minute) }

// orderOf is an order of so long after now.
func (s *shop) orderOf(after time.Duration) order.Order {
	id := s.sale.ID + (time.Now().Add(after).UnixMilli()-time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli())<<22
	return order.Order{ID: order.ID(id), SaleID: s.sale.ID, ShopperID: "alice", Quantity: 1}
}

func TestTheResolverVoidsOnlyWhatNothingCanSettleAnyMore(t *testing.T) {
	t.Parallel()
	s := open(t, 10, 1)
	r := reconcile.NewResolver(s.store, s.ledger, s.queue)

	_, done, err := r.Resolve(t.Context(), s.order(t, "young"))
	require.NoError(t, err)
	require.False(t, done, "its message may be on its way")

	o := s.lostOrder()
	s.queue.end.Store(5)
	for range 3 {
		_, done, err = r.Resolve(t.Context(), o)
		require.NoError(t, err)
		require.False(t, done, "the queue may hold it")
	}
	s.queue.at.Store(5)
	s.queue.end.Store(9) // later messages do not matter
	v, done, err := r.Resolve(t.Context(), o)
	require.NoError(t, err)
	require.True(t, done)
	require.Equal(t, order.StatusRejected, v.Status)
	require.Equal(t, order.ReasonVoid, v.Reason)
	late := s.settle(t, []order.Order{o})
	require.Equal(t, order.ReasonVoid, late[0].Reason, "the late message finds the tombstone")
	require.Empty(t, s.audit(t).Discrepancies)
}

func TestAnOrderOfTheFutureIsResolvedToo(t *testing.T) {
	t.Parallel()
	s := open(t, 10, 1)
	r := reconcile.NewResolver(s.store, s.ledger, s.queue)
	for after, want := range map[time.Duration]bool{time.Hour: true, 30 * time.Second: false} {
		o := s.orderOf(after)
		_, done, err := r.Resolve(t.Context(), o)
		require.NoError(t, err)
		require.False(t, done)
		_, done, err = r.Resolve(t.Context(), o)
		require.NoError(t, err)
		require.Equal(t, want, done, "the clock of who made it was %s ahead", after)
	}
}

func TestTheResolverReadsAVerdictAndWaitsForASaleThatIsBeingLoaded(t *testing.T) {
	t.Parallel()
	s := open(t, 10, 1)
	r := reconcile.NewResolver(s.store, s.ledger, s.queue)
	o := s.lostOrder()
	s.redis.FlushAll()
	for range 2 {
		_, done, err := r.Resolve(t.Context(), o)
		require.NoError(t, err)
		require.False(t, done, "a wiped sale is loaded again first")
	}
	s.settle(t, []order.Order{o})
	v, done, err := r.Resolve(t.Context(), o)
	require.NoError(t, err)
	require.True(t, done)
	require.Equal(t, order.StatusConfirmed, v.Status)
}

func TestTheResolverBelievesNoStoreThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	s := open(t, 10, 1)
	r := reconcile.NewResolver(s.store, s.ledger, s.queue)
	s.redis.Close()
	_, done, err := r.Resolve(t.Context(), s.lostOrder())
	require.Error(t, err)
	require.False(t, done)
}

// slowOffsets answers after a while, unless its caller has left by then.
type slowOffsets struct{ *offsets }

func (o slowOffsets) MaxOffsets(ctx context.Context) (queue.Offsets, error) {
	if err := loop.Pause(ctx, 200*time.Millisecond); err != nil {
		return nil, err
	}
	return o.offsets.MaxOffsets(ctx)
}

func TestTheResolverAnswersAShopperWhenAnotherOneLeaves(t *testing.T) {
	t.Parallel()
	s := open(t, 10, 1)
	r := reconcile.NewResolver(s.store, s.ledger, slowOffsets{s.queue})
	ending, end := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _, _ = r.Resolve(ending, s.lostOrder()) // begins the question to the queue
	}()
	time.AfterFunc(100*time.Millisecond, end)
	time.Sleep(50 * time.Millisecond)
	_, _, err := r.Resolve(t.Context(), s.orderOf(-3*time.Minute))
	require.NoError(t, err)
	<-gone
}

func TestTheAuditJudgesAnOrderOfTheFuture(t *testing.T) {
	t.Parallel()
	s := open(t, 10, 1)
	require.NoError(t, pool{s}.Settle(t.Context(), []order.Order{s.orderOf(time.Hour)}))
	s.redis.HDel("seckill:{7}:o", "alice")
	a := s.audit(t)
	require.True(t, slices.ContainsFunc(a.Discrepancies, func(d audit.Discrepancy) bool { return d.Kind == audit.KindUnknown }), "%+v", a.Discrepancies)
}

func TestTheAuditNamesWhatDoesNotHold(t *testing.T) {
	t.Parallel()
	s := open(t, 10, 1)
	require.NoError(t, pool{s}.Settle(t.Context(), s.reserve(t, 3)))
	a := s.audit(t)
	require.Empty(t, a.Discrepancies)
	require.EqualValues(t, 3, a.Confirmed)
	require.EqualValues(t, 7, a.Available)

	s.redis.HSet("seckill:{7}:m", "available", "8")
	a = s.audit(t)
	require.Len(t, a.Discrepancies, 1)
	require.Equal(t, audit.KindCounters, a.Discrepancies[0].Kind)
	require.Contains(t, a.Discrepancies[0].Detail, "available 8 + pending 0 + settled 3 is not the total 10")
}
