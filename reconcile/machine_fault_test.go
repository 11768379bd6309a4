package reconcile_test

import (
	"errors"
	"strings"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"seckill/order"
	"seckill/stock"
)

// catchUp is the tail; a change younger than its last look is left alone.
func (m *machine) catchUp() { require.NoError(m.t, m.tail.Step(m.ctx())) }

// sweep lets leases end, and the sweeper look; or one that dies of its find.
func (m *machine) sweep() {
	if rapid.Bool().Draw(m.t, "time passes") {
		m.endLeases()
	}
	if rapid.IntRange(0, 3).Draw(m.t, "dies") == 0 {
		_, err := m.ledger.Due(m.ctx(), m.saleID, 2)
		m.ignoreUnloaded(err)
		return
	}
	m.drawCommit()
	m.ignoreUnloaded(m.sweeper.Step(m.ctx()))
}

// endLeases dates what is due back by a lease.
func (m *machine) endLeases() {
	items, err := m.rdb.LRange(m.ctx(), m.key("d"), 0, -1).Result()
	require.NoError(m.t, err)
	if len(items) == 0 {
		return
	}
	_, err = m.rdb.TxPipelined(m.ctx(), func(p goredis.Pipeliner) error {
		p.Del(m.ctx(), m.key("d"))
		for _, item := range items {
			_, rest, _ := strings.Cut(item, ",")
			p.RPush(m.ctx(), m.key("d"), "1,"+rest)
		}
		return nil
	})
	require.NoError(m.t, err)
}

// resolve is a shopper's poll that finds the order nowhere.
func (m *machine) resolve() {
	if len(m.asked) == 0 {
		m.t.Skip("nothing was asked for")
	}
	o := rapid.SampledFrom(m.asked).Draw(m.t, "order")
	_, inRedis, err := m.ledger.Entry(m.ctx(), o.SaleID, o.ShopperID, o.ID)
	require.NoError(m.t, err)
	if inRedis {
		m.t.Skip("Redis knows it")
	}
	m.resolveOne(o)
}

func (m *machine) resolveOne(o order.Order) {
	o.Quantity, o.Slot, o.Key = 0, 0, 0 // a public ID says no more than who and where
	v, decided, err := m.resolver.Resolve(m.ctx(), o)
	require.NoError(m.t, err)
	if decided {
		m.answer(o, v.Status)
	}
}

// save and regress are Redis losing its last writes, or a backup put back.
func (m *machine) save() {
	m.saved = map[string]string{}
	for _, k := range m.keys() {
		v, err := m.rdb.Dump(m.ctx(), k).Result()
		if !errors.Is(err, goredis.Nil) {
			require.NoError(m.t, err)
			m.saved[k] = v
		}
	}
}

func (m *machine) regress() {
	if m.saved == nil {
		m.t.Skip("nothing was saved")
	}
	_, err := m.rdb.TxPipelined(m.ctx(), func(p goredis.Pipeliner) error {
		p.Del(m.ctx(), m.keys()...)
		for _, k := range m.keys() {
			if v, ok := m.saved[k]; ok {
				p.Restore(m.ctx(), k, 0, v)
			}
		}
		return nil
	})
	require.NoError(m.t, err)
}

func (m *machine) wipe() {
	if rapid.Bool().Draw(m.t, "rarely") {
		m.t.Skip("not now")
	}
	require.NoError(m.t, m.rdb.Unlink(m.ctx(), m.keys()...).Err())
}

// load is a consumer that finds the sale missing.
func (m *machine) load() {
	if m.sale().State.Loaded() {
		require.NoError(m.t, m.loader.Load(m.ctx(), m.saleID))
	}
}

// slowLoad is a second process that does the same: it takes its snapshot now,
// and puts it in place when others have done so, or sold since.
func (m *machine) slowLoad() {
	if m.slow != nil {
		loaded := m.meta().Loaded
		err := m.slow.Finish(m.ctx(), m.slowSale)
		require.Equal(m.t, loaded, errors.Is(err, stock.ErrLoaded), "a load over one that is there: %v", err)
		require.Equal(m.t, loaded, err != nil, "a load in time: %v", err)
		m.slow = nil
		return
	}
	if m.meta().Loaded || !m.sale().State.Loaded() {
		m.t.Skip("nothing to load")
	}
	epoch, err := m.store.RaiseEpoch(m.ctx(), m.saleID)
	require.NoError(m.t, err)
	m.slow, err = m.ledger.Begin(m.ctx(), order.Sale{ID: m.saleID, Epoch: epoch})
	require.NoError(m.t, err)
	m.slowSale, err = m.store.Snapshot(m.ctx(), m.saleID, func(rs []order.Record) error { return m.slow.Add(m.ctx(), rs) },
		func(rs []order.Returns) error { return m.slow.AddReturns(m.ctx(), rs) })
	require.NoError(m.t, err)
}

func (m *machine) rebuild() {
	if rapid.IntRange(0, 2).Draw(m.t, "rarely") > 0 {
		m.t.Skip("not now")
	}
	_, err := m.builder.Rebuild(m.ctx(), m.saleID)
	require.NoError(m.t, err)
}

func (m *machine) audit() { require.NoError(m.t, m.auditor.Scan(m.ctx(), m.saleID)) }

// poll is a shopper who gets an order.
func (m *machine) poll() {
	if len(m.answered) == 0 {
		m.t.Skip("no order was answered")
	}
	o := rapid.SampledFrom(m.asked).Draw(m.t, "order")
	m.ask(o)
}

// ask answers as the API does: Redis says only that an order is pending.
func (m *machine) ask(o order.Order) {
	e, inRedis, err := m.ledger.Entry(m.ctx(), m.saleID, o.ShopperID, o.ID)
	require.NoError(m.t, err)
	if inRedis && e.State == stock.EntryPending {
		m.answer(o, order.StatusPending)
		return
	}
	vs, _, err := m.store.Verdicts(m.ctx(), []order.Order{o})
	require.NoError(m.t, err)
	if len(vs) == 1 {
		m.answer(o, vs[0].Status)
	} else {
		m.answer(o, order.StatusPending)
	}
}

// answer compares an answer to a shopper with the one before. Only pending may follow
// a result, from a Redis that came back older.
func (m *machine) answer(o order.Order, now order.Status) {
	before, known := m.answered[whose(o)]
	switch {
	case known && now == order.StatusPending:
		return
	case known && before != order.StatusPending && before != order.StatusConfirmed:
		require.Equal(m.t, before, now, "a final answer changes")
	case before == order.StatusConfirmed:
		require.NotEqual(m.t, order.StatusRejected, now, "a confirmed order is rejected")
	}
	m.answered[whose(o)] = now
}
