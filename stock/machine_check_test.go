package stock_test

import (
	"context"
	"fmt"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"seckill/order"
	"seckill/stock"
)

// check is what holds at any time, whatever is known to Redis.
func (m *machine) check(t *rapid.T) {
	meta := m.meta(t)
	require.Equal(t, meta.Total, meta.Available+meta.Pending+meta.Settled)
	var pending, settled int64
	slots := map[string]bool{}
	for _, e := range m.entries(t) {
		row, decided := m.rows[e.ID]
		switch e.State {
		case stock.EntryPending:
			pending += int64(e.Quantity)
			if decided {
				break
			}
			if e.Slot >= 0 {
				require.False(t, slots[fmt.Sprint(e.ShopperID, e.Slot)], "a slot twice")
				slots[fmt.Sprint(e.ShopperID, e.Slot)] = true
			}
		case stock.EntrySettled:
			settled += int64(e.Quantity)
			require.Equal(t, row.Slot, e.Slot, "the slot of the row")
			require.Equal(t, row.Key, e.Key, "the key stays")
		case stock.EntryRejected:
			require.Equal(t, order.StatusRejected, row.Status)
		case stock.EntryCancelled:
			require.Equal(t, order.StatusCancelled, row.Status)
		}
		if e.State != stock.EntryPending {
			require.True(t, decided, "no final state without a row")
		}
	}
	require.Equal(t, meta.Pending, pending)
	require.Equal(t, meta.Settled, settled)
	m.known(t, meta)
}

// known compares with the model: of the changes up to the cursor each order is
// what the log made of it, unless a later change came early.
func (m *machine) known(t *rapid.T, meta stock.Meta) {
	require.LessOrEqual(t, meta.Applied, uint64(len(m.log)))
	total := int64(12)
	at := map[order.ID]order.Status{}
	for _, c := range m.log[:meta.Applied] {
		if c.Sale != nil {
			total += int64(c.Sale.Units)
		}
		for _, v := range c.Verdicts {
			at[v.ID] = v.Status
		}
	}
	require.Equal(t, total, meta.Total, "sale effects only in line")
	es := m.entries(t)
	for id, status := range at {
		e, there := es[id]
		switch status {
		case order.StatusConfirmed, order.StatusPaid:
			if m.rows[id].Status == order.StatusCancelled { // that may have come early
				require.True(t, !there || e.State != stock.EntryPending)
				break
			}
			require.True(t, there, "a live order is never forgotten")
			require.Equal(t, string(stock.EntrySettled), string(e.State))
		default:
			require.True(t, !there || !e.State.Live(), "a dead order holds nothing")
		}
	}
}

// heal lets the tail and the sweeper finish, and compares with MySQL.
func (m *machine) heal(t *rapid.T) {
	for _, o := range m.asked {
		if _, decided := m.rows[o.ID]; !decided {
			v := rejected(o)
			m.rows[o.ID] = v
			m.commit(nil, v)
		}
	}
	require.NoError(t, m.l.Apply(context.Background(), m.log[m.meta(t).Applied:]))
	meta := m.meta(t)
	require.EqualValues(t, len(m.log), meta.Applied)
	require.Zero(t, meta.Pending)
	require.EqualValues(t, m.left(), meta.Available, "no unit is leaked or sold twice")
	require.EqualValues(t, m.sale.Total, meta.Total)
	es := m.entries(t)
	for id, v := range m.rows {
		e, there := es[id]
		require.Equal(t, v.Status.Live(), there && e.State == stock.EntrySettled)
	}
	fields, err := m.rdb.HKeys(context.Background(), m.key("m")).Result()
	require.NoError(t, err)
	require.LessOrEqual(t, len(fields), 13, "no mark is left")
}
