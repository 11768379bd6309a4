package stock_test

import (
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"seckill/internal/testenv"
	"seckill/order"
	"seckill/stock"
)

// Any order of reservations, write-backs (early, late, lost, repeated),
// replays, sweeps, a Redis that forgets its last writes and one that is loaded
// anew: the entries and counters are those of a model whenever both know the
// same changes, and the end is what MySQL says.
func TestAnySequenceOfStepsKeepsTheProtocol(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]func(testing.TB) redis.UniversalClient{"miniredis": testenv.Miniredis, "redis": testenv.Redis} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rdb := server(t)
			rapid.Check(t, func(t *rapid.T) {
				m := newMachine(t, rdb)
				defer m.l.Unload(context.Background(), m.sale.ID) //nolint:errcheck // cleaning up
				t.Repeat(map[string]func(*rapid.T){
					"":          m.check,
					"reserve":   m.reserve,
					"settle":    m.settle,
					"cancel":    m.cancel,
					"command":   m.command,
					"writeBack": m.writeBack,
					"tail":      m.tail,
					"replay":    m.replay,
					"save":      m.save,
					"regress":   m.regress,
					"reload":    m.reload,
				})
				m.heal(t)
			})
		})
	}
}

// machine is MySQL as it should be (rows, changes), and what is known of Redis.
type machine struct {
	rdb   redis.UniversalClient
	l     *stock.Ledger
	sale  order.Sale
	next  order.ID
	asked []order.Order // every order reserved once
	rows  map[order.ID]order.Verdict
	log   []order.Change
	saved map[string][]string // values of Redis to go back to
}

const limit = 2

var shoppers = []string{"ann", "bob", "cid"}

func newMachine(t *rapid.T, rdb redis.UniversalClient) *machine {
	m := &machine{rdb: rdb, l: stock.New(rdb), next: 1 << 40, rows: map[order.ID]order.Verdict{}}
	m.sale = sampleSale()
	m.sale.Total, m.sale.Available, m.sale.OrdersPerShopper = 12, 12, limit
	m.loadFrom(t)
	return m
}

func (m *machine) loadFrom(t *rapid.T) {
	m.sale.Epoch++
	m.sale.Seq = uint64(len(m.log))
	ld, err := m.l.Begin(context.Background(), m.sale)
	require.NoError(t, err)
	var rs []order.Record
	for _, v := range m.rows {
		rs = append(rs, record(v.Order, v.Status))
	}
	require.NoError(t, ld.Add(context.Background(), rs))
	require.NoError(t, ld.Finish(context.Background(), m.sale))
}

func (m *machine) meta(t *rapid.T) stock.Meta {
	ms, err := m.l.Metas(context.Background(), []int64{m.sale.ID})
	require.NoError(t, err)
	return ms[0]
}

func (m *machine) entries(t *rapid.T) map[order.ID]stock.Entry {
	all := map[order.ID]stock.Entry{}
	for _, s := range shoppers {
		es, err := m.l.Entries(context.Background(), m.sale.ID, s)
		require.NoError(t, err)
		for _, e := range es {
			require.NotContains(t, all, e.ID, "one entry an order")
			all[e.ID] = e
		}
	}
	return all
}

func (m *machine) reserve(t *rapid.T) {
	var batch []order.Order
	for range rapid.IntRange(1, 3).Draw(t, "orders") {
		if len(m.asked) > 0 && rapid.IntRange(0, 5).Draw(t, "again") == 0 {
			o := rapid.SampledFrom(m.asked).Draw(t, "repeated")
			if _, decided := m.rows[o.ID]; !decided { // the API repeats at once or never
				batch = append(batch, o)
				continue
			}
		}
		m.next++
		batch = append(batch, order.Order{
			ID: m.next, SaleID: m.sale.ID, ShopperID: rapid.SampledFrom(shoppers).Draw(t, "shopper"),
			Quantity: rapid.IntRange(1, 3).Draw(t, "units"), Key: rapid.Uint64Range(0, 4).Draw(t, "key"),
		})
	}
	before := m.meta(t)
	rs, err := m.l.Reserve(context.Background(), m.sale.ID, batch)
	require.NoError(t, err)
	es := m.entries(t)
	for i, r := range rs {
		e, there := es[batch[i].ID]
		if r.Err != nil {
			require.False(t, there)
			continue
		}
		require.True(t, there)
		require.Equal(t, batch[i].Key, e.Key)
		o := batch[i]
		o.Slot = r.Slot
		m.asked = append(m.asked, o)
	}
	if before.Available >= 0 {
		require.GreaterOrEqual(t, m.meta(t).Available, int64(0), "T1 takes what there is")
	}
}

// settle is what MySQL does with some orders, reserved or forgotten since.
func (m *machine) settle(t *rapid.T) {
	var vs []order.Verdict
	for range rapid.IntRange(1, 3).Draw(t, "orders") {
		if len(m.asked) == 0 {
			t.Skip("nothing was asked for")
		}
		o := rapid.SampledFrom(m.asked).Draw(t, "order")
		if _, decided := m.rows[o.ID]; decided {
			continue
		}
		v := rejected(o)
		if slot, ok := m.freeSlot(o); ok && m.left() >= o.Quantity && rapid.IntRange(0, 3).Draw(t, "confirm") > 0 {
			v = confirmed(o)
			v.Slot = slot
		}
		m.rows[o.ID] = v
		vs = append(vs, v)
	}
	m.commit(nil, vs...)
}

func (m *machine) freeSlot(o order.Order) (int, bool) {
	used := map[int]bool{}
	for _, v := range m.rows {
		if v.ShopperID == o.ShopperID && v.Status.Live() {
			used[v.Slot] = true
		}
	}
	for _, k := range []int{o.Slot, 0, 1} {
		if !used[k] {
			return k, true
		}
	}
	return 0, false
}

func (m *machine) left() int {
	n := m.sale.Total
	for _, v := range m.rows {
		if v.Status.Live() {
			n -= v.Quantity
		}
	}
	return n
}

func (m *machine) cancel(t *rapid.T) {
	var live []order.ID
	for _, id := range slices.Sorted(maps.Keys(m.rows)) {
		if m.rows[id].Status.Live() {
			live = append(live, id)
		}
	}
	if len(live) == 0 {
		t.Skip("nothing is live")
	}
	v := m.rows[rapid.SampledFrom(live).Draw(t, "order")]
	v.Status = rapid.SampledFrom([]order.Status{order.StatusPaid, order.StatusCancelled, order.StatusCancelled}).Draw(t, "to")
	m.rows[v.ID] = v
	m.commit(nil, v)
}

func (m *machine) command(t *rapid.T) {
	e := &order.SaleEffect{Units: rapid.IntRange(0, 2).Draw(t, "units")}
	m.sale.Total += e.Units
	m.commit(e)
}

func (m *machine) commit(e *order.SaleEffect, vs ...order.Verdict) {
	if e == nil && len(vs) == 0 {
		return
	}
	c := order.Change{SaleID: m.sale.ID, Seq: uint64(len(m.log) + 1), Sale: e}
	for _, v := range vs {
		v.Seq = c.Seq
		c.Verdicts = append(c.Verdicts, v)
	}
	m.log = append(m.log, c)
}

// writeBack tells Redis of any change again or at last.
func (m *machine) writeBack(t *rapid.T) {
	if len(m.log) == 0 {
		t.Skip("no change")
	}
	from := 0
	if rapid.Bool().Draw(t, "recent") {
		from = max(0, len(m.log)-4)
	}
	c := rapid.SampledFrom(m.log[from:]).Draw(t, "change")
	require.NoError(t, m.l.Apply(context.Background(), []order.Change{c}))
}

func (m *machine) tail(t *rapid.T) {
	behind := m.log[m.meta(t).Applied:]
	n := rapid.IntRange(0, len(behind)).Draw(t, "changes")
	require.NoError(t, m.l.Apply(context.Background(), behind[:n]))
}

// replay is the sweeper or a redelivery, which read the row of now.
func (m *machine) replay(t *rapid.T) {
	if len(m.asked) == 0 {
		t.Skip("nothing was asked for")
	}
	if v, decided := m.rows[rapid.SampledFrom(m.asked).Draw(t, "order").ID]; decided {
		v.Seq = 0
		require.NoError(t, m.l.Replay(context.Background(), []order.Verdict{v}))
	}
}

// hashes and lists are the sale's values; miniredis dumps neither kind.
func (m *machine) hashes() []string { return []string{m.key("m"), m.key("o")} }
func (m *machine) lists() []string  { return []string{m.key("d"), m.key("u")} }

func (m *machine) key(suffix string) string {
	return "seckill:{" + order.ID(m.sale.ID).String() + "}:" + suffix
}

func (m *machine) save(t *rapid.T) {
	m.saved = map[string][]string{}
	for _, k := range m.hashes() {
		fields, err := m.rdb.HGetAll(context.Background(), k).Result()
		require.NoError(t, err)
		for f, v := range fields {
			m.saved[k] = append(m.saved[k], f, v)
		}
	}
	for _, k := range m.lists() {
		items, err := m.rdb.LRange(context.Background(), k, 0, -1).Result()
		require.NoError(t, err)
		m.saved[k] = items
	}
}

// regress is Redis losing all since the last save.
func (m *machine) regress(t *rapid.T) {
	if m.saved == nil {
		t.Skip("nothing was saved")
	}
	ctx := context.Background()
	_, err := m.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Del(ctx, append(m.hashes(), m.lists()...)...)
		for _, k := range m.hashes() {
			if len(m.saved[k]) > 0 {
				p.HSet(ctx, k, m.saved[k])
			}
		}
		for _, k := range m.lists() {
			if len(m.saved[k]) > 0 {
				p.RPush(ctx, k, m.saved[k])
			}
		}
		return nil
	})
	require.NoError(t, err)
}

// reload is Redis losing everything, and a rebuild.
func (m *machine) reload(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "rarely") > 0 {
		t.Skip("not now")
	}
	require.NoError(t, m.l.Unload(context.Background(), m.sale.ID))
	m.saved = nil
	m.loadFrom(t)
}
