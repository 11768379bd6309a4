package reconcile_test

import (
	"maps"
	"slices"

	"github.com/stretchr/testify/require"

	"seckill/audit"
	"seckill/order"
	"seckill/stock"
)

// row is an order as it stands in MySQL.
type row struct {
	order.Verdict

	live bool
}

// rows reads the orders of the sale past the code under test.
func (m *machine) rows() map[who]row {
	all := map[who]row{}
	found, err := m.db.QueryContext(m.ctx(), `SELECT id, shopper_id, slot, COALESCE(live, 0), quantity, idem_key, status, reason FROM orders WHERE sale_id = ?`, m.saleID)
	require.NoError(m.t, err)
	defer found.Close()
	for found.Next() {
		r := row{Verdict: order.Verdict{Order: order.Order{SaleID: m.saleID}}}
		require.NoError(m.t, found.Scan(&r.ID, &r.ShopperID, &r.Slot, &r.live, &r.Quantity, &r.Key, &r.Status, &r.Reason))
		all[whose(r.Order)] = r
	}
	require.NoError(m.t, found.Err())
	return all
}

// check is what holds at any time, whatever is under way.
func (m *machine) check() {
	rows := m.rows()
	m.checkRows(rows)
	if meta := m.meta(); meta.Loaded {
		m.checkRedis(meta, rows)
	}
}

// checkRows: units, limits, and the verdicts of the model.
func (m *machine) checkRows(rows map[who]row) {
	sale := m.sale()
	live, slots, keys := 0, map[string]map[int]bool{}, map[string]map[uint64]bool{}
	for _, r := range rows {
		require.Equal(m.t, r.Status.Live(), r.live)
		if !r.live {
			continue
		}
		live += r.Quantity
		if slots[r.ShopperID] == nil {
			slots[r.ShopperID], keys[r.ShopperID] = map[int]bool{}, map[uint64]bool{}
		}
		require.False(m.t, slots[r.ShopperID][r.Slot] || r.Slot >= m.slots, "slot %d of %s", r.Slot, r.ShopperID)
		require.False(m.t, keys[r.ShopperID][r.Key], "key %d of %s bought twice", r.Key, r.ShopperID)
		slots[r.ShopperID][r.Slot], keys[r.ShopperID][r.Key] = true, true
	}
	require.Equal(m.t, sale.Total, sale.Available+live, "units in MySQL")
	model := m.records()
	require.Len(m.t, rows, len(model))
	for _, want := range model {
		got := rows[whose(want.Order)]
		require.Equal(m.t, []any{want.Status, want.Reason, want.Quantity}, []any{got.Status, got.Reason, got.Quantity}, "order %d of %s", want.ID, want.ShopperID)
	}
}

func (m *machine) entries() map[who]stock.Entry {
	all := map[who]stock.Entry{}
	for _, s := range shoppers {
		es, err := m.ledger.Entries(m.ctx(), m.saleID, s)
		require.NoError(m.t, err)
		for _, e := range es {
			require.NotContains(m.t, all, whose(e.Order), "one entry an order")
			all[whose(e.Order)] = e
		}
	}
	return all
}

// checkRedis: the counters add up, and no entry is ahead of MySQL.
func (m *machine) checkRedis(meta stock.Meta, rows map[who]row) {
	require.Equal(m.t, meta.Total, meta.Available+meta.Pending+meta.Settled, "units in Redis")
	var pending, settled int64
	es := m.entries()
	m.checkKnown(meta.Applied, es, rows)
	for id, e := range es {
		r, decided := rows[id]
		switch e.State {
		case stock.EntryPending:
			pending += int64(e.Quantity)
		case stock.EntrySettled:
			settled += int64(e.Quantity)
			require.True(m.t, decided && r.Status != order.StatusRejected, "settled without a row")
			require.Equal(m.t, []any{r.Slot, r.Key, r.Quantity}, []any{e.Slot, e.Key, e.Quantity}, "slot, key and units of the row")
		case stock.EntryRejected:
			require.True(m.t, m.rejected(e.Order, r, decided), "given back without a rejection")
		case stock.EntryCancelled:
			require.Equal(m.t, order.StatusCancelled, r.Status, "given back without a cancellation")
		}
	}
	require.Equal(m.t, []int64{meta.Pending, meta.Settled}, []int64{pending, settled}, "pending and settled units in Redis")
}

// checkKnown: what the cursor has passed is so in Redis, unless a later change
// came early.
func (m *machine) checkKnown(applied uint64, es map[who]stock.Entry, rows map[who]row) {
	log, err := m.store.model.Changes(m.ctx(), m.saleID, 0, 10_000)
	require.NoError(m.t, err)
	require.LessOrEqual(m.t, applied, uint64(len(log)))
	known := map[who]order.Status{}
	for _, c := range log[:applied] {
		for _, v := range c.Verdicts {
			known[whose(v.Order)] = v.Status
		}
	}
	for id, status := range known {
		e, there := es[id]
		switch {
		case !status.Live():
			require.False(m.t, there && e.State.Live(), "order %d of %s was %s and holds units", id.id, id.shopper, status)
		case rows[id].Status.Live():
			require.True(m.t, there && e.State == stock.EntrySettled, "order %d of %s is %s and not settled", id.id, id.shopper, status)
		}
	}
}

// rejected looks among the dead letters too, for an order whose ID is another's.
func (m *machine) rejected(o order.Order, r row, decided bool) bool {
	if decided {
		return r.Status == order.StatusRejected
	}
	vs, _, err := m.store.Verdicts(m.ctx(), []order.Order{o})
	require.NoError(m.t, err)
	return len(vs) == 1 && vs[0].Status == order.StatusRejected
}

// heal ends the faults: the queue is delivered, the loader, the tail, the
// sweeper, the shoppers' polls and the audit do their work. Write-backs that
// are still under way are lost.
func (m *machine) heal() {
	m.wire.next.Store(commitAnswered)
	m.healing, m.late, m.slow = true, nil, nil
	for i := range m.queue {
		if msg := &m.queue[i]; !msg.passed {
			require.NoError(m.t, settlers{m}.Settle(m.ctx(), []order.Order{msg.Order}))
			msg.passed = true
		}
	}
	m.load()
	m.catchUp()
	m.catchUp()
	m.endLeases()
	m.ignoreUnloaded(m.sweeper.Step(m.ctx()))
	for _, o := range m.asked {
		if m.answered[whose(o)] != "" && !m.decided(o) {
			m.resolveOne(o)
			m.resolveOne(o)
		}
	}
	m.audit()
	m.catchUp()
	m.catchUp()
	m.check()
	m.checkHealed()
}

func (m *machine) decided(o order.Order) bool {
	vs, _, err := m.store.Verdicts(m.ctx(), []order.Order{o})
	require.NoError(m.t, err)
	return len(vs) == 1
}

func (m *machine) checkHealed() {
	rows, sale, meta := m.rows(), m.sale(), m.meta()
	for _, o := range m.asked {
		if m.answered[whose(o)] == "" {
			continue // it was never answered
		}
		require.True(m.t, m.decided(o), "202 without a verdict: order %d of %s", o.ID, o.ShopperID)
		m.ask(o)
		require.NotEqual(m.t, order.StatusPending, m.answered[whose(o)], "pending for ever: order %d of %s", o.ID, o.ShopperID)
	}
	m.checkLog(sale)
	require.True(m.t, meta.Loaded || !sale.State.Loaded(), "the sale is loaded")
	if meta.Loaded {
		require.Equal(m.t, []int64{int64(sale.Total), int64(sale.Available), 0, int64(sale.Seq)},
			[]int64{meta.Total, meta.Available, meta.Pending, int64(meta.Applied)}, "total, available, pending, applied")
		require.Equal(m.t, sale.State, meta.State)
		es := m.entries()
		maps.DeleteFunc(es, func(_ who, e stock.Entry) bool { return !e.State.Live() })
		maps.DeleteFunc(rows, func(_ who, r row) bool { return !r.live })
		require.ElementsMatch(m.t, slices.Collect(maps.Keys(rows)), slices.Collect(maps.Keys(es)), "slots in Redis are live orders")
		fields, err := m.rdb.HKeys(m.ctx(), m.key("m")).Result()
		require.NoError(m.t, err)
		require.LessOrEqual(m.t, len(fields), 13, "no mark is left")
	}
	auditor := audit.NewAuditor(m.store, m.ledger, 0)
	found, err := auditor.Audit(m.ctx(), m.saleID)
	require.NoError(m.t, err)
	require.Empty(m.t, found[0].Discrepancies)
}

// checkLog: MySQL's log is the model's, change by change.
func (m *machine) checkLog(sale order.Sale) {
	got, err := m.store.Changes(m.ctx(), m.saleID, 0, 10_000)
	require.NoError(m.t, err)
	want, err := m.store.model.Changes(m.ctx(), m.saleID, 0, 10_000)
	require.NoError(m.t, err)
	require.Len(m.t, got, len(want))
	require.EqualValues(m.t, len(got), sale.Seq)
	for i := range want {
		require.Equal(m.t, want[i].Seq, got[i].Seq)
		m.store.agree(want[i].Verdicts, got[i].Verdicts, true)
		require.Equal(m.t, want[i].Sale == nil, got[i].Sale == nil)
		if want[i].Sale != nil {
			require.Equal(m.t, []any{want[i].Sale.Units, want[i].Sale.State}, []any{got[i].Sale.Units, got[i].Sale.State})
		}
	}
}
