package stock_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"seckill/internal/testenv"
	"seckill/order"
	"seckill/stock"
)

// fixture is one sale in one server, and what MySQL would log of it.
type fixture struct {
	*testing.T
	rdb  redis.UniversalClient
	l    *stock.Ledger
	sale order.Sale
	ids  *order.IDMaker
	seq  uint64
}

// onBoth runs a test against miniredis and against a real server.
func onBoth(t *testing.T, test func(f *fixture)) {
	t.Helper()
	t.Parallel()
	for name, server := range map[string]func(testing.TB) redis.UniversalClient{"miniredis": testenv.Miniredis, "redis": testenv.Redis} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(newFixture(t, server(t)))
		})
	}
}

func newFixture(t *testing.T, rdb redis.UniversalClient) *fixture {
	t.Helper()
	f := &fixture{T: t, rdb: rdb, l: stock.New(rdb), ids: order.NewIDMaker(rand.Int64N(8000))}
	f.sale = sampleSale()
	t.Cleanup(func() { _ = f.l.Unload(ctx(t), f.sale.ID) })
	return f
}

// sampleSale is open, with 10 units.
func sampleSale() order.Sale {
	now := time.Now()
	return order.Sale{
		ID: testenv.SaleID(), Title: "a phone", PriceMinor: 9900, Currency: "CNY", Total: 10, Available: 10,
		OrdersPerShopper: 1, UnitsPerOrder: 5, State: order.SaleOpen, Epoch: 1,
		StartsAt: now.Add(-time.Hour), EndsAt: now.Add(time.Hour), PayWithin: time.Minute,
	}
}

// load loads the sale with its total and limit, and rows that are live.
func (f *fixture) load(total, limit int, rs ...order.Record) {
	f.Helper()
	f.sale.Total, f.sale.OrdersPerShopper, f.sale.Seq = total, limit, f.seq
	ld, err := f.l.Begin(f.Context(), f.sale)
	require.NoError(f, err)
	require.NoError(f, ld.Add(f.Context(), rs))
	require.NoError(f, ld.Finish(f.Context(), f.sale))
}

func (f *fixture) id() order.ID {
	f.Helper()
	id, err := f.ids.Next()
	require.NoError(f, err)
	return id
}

// order makes an order of one unit.
func (f *fixture) order(shopper string, change ...func(*order.Order)) order.Order {
	f.Helper()
	o := order.Order{ID: f.id(), SaleID: f.sale.ID, ShopperID: shopper, Quantity: 1}
	for _, c := range change {
		c(&o)
	}
	return o
}

func units(n int) func(*order.Order)      { return func(o *order.Order) { o.Quantity = n } }
func keyed(key uint64) func(*order.Order) { return func(o *order.Order) { o.Key = key } }

func (f *fixture) reserve(os ...order.Order) []stock.Reservation {
	f.Helper()
	rs, err := f.l.Reserve(f.Context(), f.sale.ID, stock.Purchases(os...))
	require.NoError(f, err)
	require.Len(f, rs, len(os))
	return rs
}

// pending reserves one order and returns it with its slot.
func (f *fixture) pending(shopper string, change ...func(*order.Order)) order.Order {
	f.Helper()
	o := f.order(shopper, change...)
	r := f.reserve(o)[0]
	require.NoError(f, r.Err)
	o.Slot = r.Slot
	return o
}

// change is the next change of the sale, as MySQL would log it.
func (f *fixture) change(vs ...order.Verdict) order.Change {
	f.seq++
	for i := range vs {
		vs[i].Seq = f.seq
	}
	return order.Change{SaleID: f.sale.ID, Seq: f.seq, Verdicts: vs}
}

func (f *fixture) saleChange(e order.SaleEffect) order.Change {
	c := f.change()
	c.Sale = &e
	return c
}

func (f *fixture) apply(cs ...order.Change) {
	f.Helper()
	require.NoError(f, f.l.Apply(f.Context(), cs))
}

func (f *fixture) replay(vs ...order.Verdict) {
	f.Helper()
	require.NoError(f, f.l.Replay(f.Context(), vs))
}

func confirmed(o order.Order) order.Verdict {
	o.Reference = "" // a change carries none
	return order.Verdict{Order: o, Status: order.StatusConfirmed}
}

func rejected(o order.Order) order.Verdict {
	return order.Verdict{Order: o, Status: order.StatusRejected, Reason: order.ReasonSoldOut}
}

func cancelled(o order.Order) order.Verdict {
	return order.Verdict{Order: o, Status: order.StatusCancelled}
}

func (f *fixture) meta() stock.Meta {
	f.Helper()
	ms, err := f.l.Metas(f.Context(), []int64{f.sale.ID})
	require.NoError(f, err)
	return ms[0]
}

// has asserts the counters: available, pending, settled.
func (f *fixture) has(available, pending, settled int64) {
	f.Helper()
	m := f.meta()
	require.Equal(f, []int64{available, pending, settled}, []int64{m.Available, m.Pending, m.Settled}, "available, pending, settled")
	require.Equal(f, m.Total, available+pending+settled)
}

func (f *fixture) applied(want uint64) {
	f.Helper()
	require.Equal(f, want, f.meta().Applied, "cursor")
}

// is asserts an entry's state and slot.
func (f *fixture) is(o order.Order, state stock.EntryState, slot int) {
	f.Helper()
	e, ok, err := f.l.Entry(f.Context(), o.SaleID, o.ShopperID, o.ID)
	require.NoError(f, err)
	require.True(f, ok, "order is absent")
	require.Equal(f, string(state), string(e.State))
	require.Equal(f, slot, e.Slot, "slot")
	require.Equal(f, o.Quantity, e.Quantity)
	require.Equal(f, o.Key, e.Key)
	if state == stock.EntryPending {
		require.Equal(f, o.Reference, e.Reference)
	} else {
		require.Empty(f, e.Reference)
	}
}

func (f *fixture) absent(o order.Order) {
	f.Helper()
	_, ok, err := f.l.Entry(f.Context(), o.SaleID, o.ShopperID, o.ID)
	require.NoError(f, err)
	require.False(f, ok, "order is there")
}

// key names a value of the sale.
func (f *fixture) key(suffix string) string {
	return "seckill:{" + f.saleText() + "}:" + suffix
}

func (f *fixture) saleText() string { return order.ID(f.sale.ID).String() }

func record(o order.Order, s order.Status) order.Record {
	return order.Record{Order: o, Status: s}
}
