package event_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"seckill/event"
	"seckill/order"
	"seckill/order/memory"
	"seckill/queue"
)

// fakeTopic is a topic that may fail, after storing some messages.
type fakeTopic struct {
	mu     sync.Mutex
	ms     []queue.EventMessage
	fail   error
	stores int           // messages of a failing call that are stored
	each   time.Duration // time per message
	sizes  []int         // of the pages
}

func (o *fakeTopic) Publish(ctx context.Context, ms []queue.EventMessage) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sizes = append(o.sizes, len(ms))
	if o.each > 0 {
		select {
		case <-time.After(time.Duration(len(ms)) * o.each):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if o.fail != nil {
		ms = ms[:min(o.stores, len(ms))]
	}
	o.ms = append(o.ms, ms...)
	return o.fail
}

func (o *fakeTopic) ids() (ids []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range o.ms {
		ids = append(ids, m.ID)
	}
	return ids
}

// fixture is a store with a sale, and relays of it.
type fixture struct {
	t     *testing.T
	store *memory.Store
	next  order.ID
	log   bytes.Buffer // of the last relay
}

const sale = 77

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, store: memory.NewStore(), next: 1000}
	f.sale(sale)
	return f
}

func (f *fixture) sale(id int64) {
	f.t.Helper()
	_, err := f.store.CreateSale(f.t.Context(), order.Sale{
		ID: id, Title: "t", SKU: "s", PriceMinor: 100, Currency: "CNY", Total: 100_000, OrdersPerShopper: 1, UnitsPerOrder: 1,
		StartsAt: time.Now(), EndsAt: time.Now().Add(time.Hour), PayWithin: time.Minute,
	})
	require.NoError(f.t, err)
}

// settle settles n orders in one change.
func (f *fixture) settle(id int64, n int) (orders []order.Order) {
	f.t.Helper()
	for range n {
		f.next++
		orders = append(orders, order.Order{ID: f.next, SaleID: id, ShopperID: f.next.String(), Quantity: 1})
	}
	_, err := f.store.Settle(f.t.Context(), orders)
	require.NoError(f.t, err)
	return orders
}

type relayStore interface {
	EventsBehind(ctx context.Context, closed bool, limit int) ([]order.EventCursor, error)
	EventPage(ctx context.Context, saleID int64, after uint64, orders int) (es []order.Event, through uint64, more bool, err error)
	HoldEvents(ctx context.Context, saleID int64, holder string, lease time.Duration) (seq uint64, held bool, err error)
	MoveEvents(ctx context.Context, saleID int64, holder string, seq uint64, lease time.Duration) error
	ReleaseEvents(ctx context.Context, saleID int64, holder string) error
}

func (f *fixture) relay(s relayStore, o *fakeTopic) (*event.Relay, *prometheus.Registry) {
	reg := prometheus.NewRegistry()
	return event.NewRelay(event.Options{Store: s, Publisher: o, Metrics: reg, Log: slog.New(slog.NewTextHandler(&f.log, nil))}), reg
}

// cursor is the last change whose events are sent.
func (f *fixture) cursor(id int64) uint64 {
	f.t.Helper()
	for _, closed := range []bool{false, true} {
		cs, err := f.store.EventsBehind(f.t.Context(), closed, 1000)
		require.NoError(f.t, err)
		for _, c := range cs {
			if c.SaleID == id {
				return c.Seq
			}
		}
	}
	s, err := f.store.Sale(f.t.Context(), id)
	require.NoError(f.t, err)
	return s.Seq
}

func TestEveryChangeOfAnOrderLeavesInItsOrderAndKeepsTheSchema(t *testing.T) {
	t.Parallel()
	f, out, s := newFixture(t), &fakeTopic{}, schema(t)
	os := f.settle(sale, 3)
	_, err := f.store.Cancel(t.Context(), os[0].ID)
	require.NoError(t, err)
	_, err = f.store.Pay(t.Context(), order.Payment{EventID: "e", OrderID: os[1].ID, AmountMinor: 100, Currency: "CNY"})
	require.NoError(t, err)
	_, err = f.store.Void(t.Context(), order.Order{ID: 5000, SaleID: sale, ShopperID: "v", Quantity: 1})
	require.NoError(t, err)
	_, err = f.store.Pay(t.Context(), order.Payment{EventID: "late", OrderID: os[0].ID, AmountMinor: 100, Currency: "CNY"})
	require.NoError(t, err)
	r, reg := f.relay(f.store, out)
	require.NoError(t, r.Step(t.Context()))
	require.Equal(t, []string{"77-1-1001", "77-1-1002", "77-1-1003", "77-2-1001", "77-3-1002", "77-4-5000", "77-5-1001"}, out.ids())
	for i, m := range out.ms {
		schema := s
		if i == 6 {
			schema = refundSchema(t)
			require.Equal(t, order.Status("refund_required"), m.Status, "who filters by statuses does not get it")
		}
		validates(t, schema, m.Body)
		require.True(t, strings.HasSuffix(m.ID, "-"+m.OrderID.String()))
	}
	require.Equal(t, map[string]float64{"cancelled": 1, "confirmed": 3, "paid": 1, "refund_required": 1, "rejected": 1}, values(t, reg, "seckill_events_published_total"))
	require.NoError(t, r.Step(t.Context()))
	require.Len(t, out.ids(), 7, "each once as long as nothing fails")
}

func TestTheCursorMovesOnlyOverWhatIsStored(t *testing.T) {
	t.Parallel()
	for _, stored := range []int{0, 2, 1000} {
		f := newFixture(t)
		out := &fakeTopic{fail: fmt.Errorf("%w: no answer", queue.ErrUnknown), stores: stored}
		f.settle(sale, 3)
		f.settle(sale, 3)
		r, reg := f.relay(f.store, out)
		require.ErrorIs(t, r.Step(t.Context()), queue.ErrUnknown)
		require.Zero(t, f.cursor(sale), "it is unknown that %d were stored", stored)
		lag(t, reg, 2)
		out.fail = nil
		require.NoError(t, r.Step(t.Context()))
		require.Equal(t, uint64(2), f.cursor(sale))
		require.Len(t, out.ids(), min(stored, 6)+6, "all of it again")
		require.NoError(t, r.Step(t.Context()))
		lag(t, reg, 0)
	}
}

// values returns a metric's value, by its label if it has one.
func values(t *testing.T, reg *prometheus.Registry, name string) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	found := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			label := ""
			for _, l := range m.GetLabel() {
				label = l.GetValue()
			}
			if f.GetName() == name {
				found[label] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return found
}

func lag(t *testing.T, reg *prometheus.Registry, changes float64) {
	t.Helper()
	require.Equal(t, map[string]float64{"": changes}, values(t, reg, "seckill_event_lag_changes"))
}

// failingMoves is a store that returns an error when the cursor moves.
type failingMoves struct {
	*memory.Store

	moves bool // the cursor moves nevertheless
}

func (m failingMoves) MoveEvents(ctx context.Context, saleID int64, holder string, seq uint64, lease time.Duration) error {
	if m.moves {
		_ = m.Store.MoveEvents(ctx, saleID, holder, seq, lease)
	}
	return errors.New("connection lost")
}

func TestAnEventWhoseCursorWasNotMovedIsSentAgain(t *testing.T) {
	t.Parallel()
	for _, moves := range []bool{false, true} {
		f, out := newFixture(t), &fakeTopic{}
		f.settle(sale, 1)
		r, _ := f.relay(failingMoves{f.store, moves}, out)
		require.Error(t, r.Step(t.Context()))
		r, _ = f.relay(f.store, out) // another process, once this one's lease is over
		require.NoError(t, f.store.MoveEvents(t.Context(), sale, "nobody", 0, 0))
		cs, err := f.store.EventsBehind(t.Context(), false, 10)
		require.NoError(t, err)
		for _, c := range cs {
			require.NoError(t, f.store.ReleaseEvents(t.Context(), sale, c.Holder))
		}
		require.NoError(t, r.Step(t.Context()))
		want := []string{"77-1-1001", "77-1-1001"}
		if moves {
			want = want[:1]
		}
		require.Equal(t, want, out.ids())
	}
}

func TestEachSaleThatCannotBeReadIsLoggedButNotEverySecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, out := newFixture(t), &fakeTopic{}
		f.sale(78)
		f.settle(sale, 1)
		f.settle(78, 1)
		gone := map[int64]bool{sale: true}
		r, _ := f.relay(unreadableLogs{f.store, gone}, out)
		// steps takes n steps, one per second, and returns how often each sale was logged.
		steps := func(n int) (of77, of78 int) {
			f.log.Reset()
			for range n {
				require.NoError(t, r.Step(t.Context()))
				time.Sleep(time.Second)
			}
			return strings.Count(f.log.String(), "sale_id=77"), strings.Count(f.log.String(), "sale_id=78")
		}
		said := func(of77, of78 int) []int { return []int{of77, of78} }
		require.Equal(t, []int{1, 0}, said(steps(60)))
		require.Equal(t, []string{"78-1-1002"}, out.ids(), "one sale that cannot be read holds up no other")
		gone[78] = true
		f.settle(78, 1)
		require.Equal(t, []int{0, 1}, said(steps(60)), "another sale, later")
		require.Equal(t, []int{2, 2}, said(steps(600)))
		gone[sale] = false
		require.Equal(t, []int{1, 0}, said(steps(60)), "it continues")
		require.Contains(t, f.log.String(), "can be read again")
		require.Equal(t, []string{"78-1-1002", "77-1-1001"}, out.ids())
	})
}

// unreadableLogs is a store whose logs of some sales cannot be read.
type unreadableLogs struct {
	*memory.Store

	gone map[int64]bool
}

func (s unreadableLogs) EventPage(ctx context.Context, saleID int64, after uint64, orders int) (es []order.Event, through uint64, more bool, err error) {
	if s.gone[saleID] {
		return nil, after, false, errors.New("gone")
	}
	return s.Store.EventPage(ctx, saleID, after, orders)
}

func TestAClosedSaleIsNotForgotten(t *testing.T) {
	t.Parallel()
	f, out := newFixture(t), &fakeTopic{}
	r, _ := f.relay(f.store, out)
	require.NoError(t, r.Step(t.Context()))
	f.settle(sale, 1)
	for i, to := range []order.SaleState{order.SaleEnded, order.SaleClosed} {
		_, err := f.store.SetSaleState(t.Context(), fmt.Sprint("c", i), sale, to)
		require.NoError(t, err)
	}
	for range 11 {
		require.NoError(t, r.Step(t.Context()))
	}
	require.Equal(t, []string{"77-1-1001"}, out.ids())
	require.Equal(t, uint64(3), f.cursor(sale), "changes of the sale itself have no events")
}

func TestTheLagIsThatOfTheOldest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, out := newFixture(t), &fakeTopic{fail: queue.ErrNotStored}
		r, reg := f.relay(f.store, out)
		f.settle(sale, 1)
		time.Sleep(30 * time.Second)
		f.settle(sale, 1)
		require.Error(t, r.Step(t.Context()))
		time.Sleep(12 * time.Second) // the database is down: the age grows
		require.Equal(t, map[string]float64{"": 42}, values(t, reg, "seckill_event_lag_seconds"))
	})
}
