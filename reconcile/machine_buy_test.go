package reconcile_test

import (
	"errors"
	"fmt"
	"slices"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"seckill/order"
	"seckill/stock"
)

// age is how old an order is: old enough for the resolver and the audit.
const age = 2 * 60 * 1000 << 22 // milliseconds before sequence and node ID

// buy is an API that reserves up to three orders in one call, and sends them.
func (m *machine) buy() {
	var batch []order.Order
	for range rapid.IntRange(1, 3).Draw(m.t, "orders") {
		o := order.Order{
			SaleID: m.saleID, ShopperID: rapid.SampledFrom(shoppers).Draw(m.t, "shopper"),
			Quantity: rapid.IntRange(1, m.units).Draw(m.t, "units"), Key: rapid.Uint64Range(0, 2).Draw(m.t, "key"),
		}
		id, err := m.ids.Next()
		require.NoError(m.t, err)
		o.ID = id - age
		if others := m.ofOthers(o.ShopperID, batch); len(others) > 0 && rapid.IntRange(0, 9).Draw(m.t, "collides") == 0 {
			o.ID = rapid.SampledFrom(others).Draw(m.t, "with").ID // two processes had one node ID
		}
		batch = append(batch, o)
	}
	rs, err := m.ledger.Reserve(m.ctx(), m.saleID, stock.Purchases(batch...))
	require.NoError(m.t, err)
	if rapid.IntRange(0, 4).Draw(m.t, "answer lost") == 0 {
		again, err := m.ledger.Reserve(m.ctx(), m.saleID, stock.Purchases(batch...))
		require.NoError(m.t, err)
		for i := range rs { // a refusal may have another reason, once its neighbours in the call hold slots
			require.Equal(m.t, rs[i].Err == nil, again[i].Err == nil, "the same call again: %v, %v", rs[i].Err, again[i].Err)
			require.Equal(m.t, rs[i].Slot, again[i].Slot)
		}
	}
	for i, r := range rs {
		switch {
		case r.Err == nil:
			o := batch[i]
			o.Slot = r.Slot
			m.asked = append(m.asked, o)
			m.send(o)
		case errors.Is(r.Err, stock.ErrReplay):
			m.ask(r.Entry.Order)
		}
	}
}

// ofOthers are orders whose ID a shopper's new one may have by mistake.
func (m *machine) ofOthers(shopper string, batch []order.Order) []order.Order {
	mine := map[order.ID]bool{}
	all := slices.Concat(m.asked, batch)
	for _, o := range all {
		mine[o.ID] = mine[o.ID] || o.ShopperID == shopper
	}
	return slices.DeleteFunc(all, func(o order.Order) bool { return mine[o.ID] })
}

// send says 202, whatever the send did, unless the process dies before it.
func (m *machine) send(o order.Order) {
	urgent := func() { require.NoError(m.t, m.ledger.Urgent(m.ctx(), o.SaleID, o)) }
	switch rapid.SampledFrom([]string{"stored", "stored", "stored", "stored twice", "unknown", "refused", "dies"}).Draw(m.t, "send") {
	case "stored":
		m.queue = append(m.queue, message{Order: o})
	case "stored twice":
		m.queue = append(m.queue, message{Order: o}, message{Order: o})
	case "unknown":
		m.queue = append(m.queue, message{Order: o})
		urgent()
	case "refused":
		urgent()
	case "dies":
		return
	}
	m.answered[whose(o)] = order.StatusPending
}

// settle is a consumer with a batch of deliveries: late ones, repeated ones,
// and a COMMIT that may not be answered.
func (m *machine) settle() {
	if len(m.queue) == 0 {
		m.t.Skip("nothing was sent")
	}
	var batch []order.Order
	for range rapid.IntRange(1, 4).Draw(m.t, "deliveries") {
		i := m.delivery()
		batch = append(batch, m.queue[i].Order)
		m.queue[i].passed = true
	}
	if m.drawCommit() != commitAnswered { // tried again, it places orders of one shopper in another way
		seen := map[string]bool{}
		batch = slices.DeleteFunc(batch, func(o order.Order) bool {
			defer func() { seen[o.ShopperID] = true }()
			return seen[o.ShopperID]
		})
	}
	vs, err := m.store.Settle(m.ctx(), batch)
	require.NoError(m.t, err)
	m.writeBack(vs)
}

// delivery picks a message, rather one that was not delivered yet.
func (m *machine) delivery() int {
	var left []int
	for i, msg := range m.queue {
		if !msg.passed {
			left = append(left, i)
		}
	}
	if len(left) > 0 && rapid.IntRange(0, 3).Draw(m.t, "redelivery") > 0 {
		return rapid.SampledFrom(left).Draw(m.t, "delivery")
	}
	return rapid.IntRange(0, len(m.queue)-1).Draw(m.t, "delivery")
}

func (m *machine) drawCommit() int32 {
	next := rapid.SampledFrom([]int32{commitAnswered, commitAnswered, commitUnanswered, commitUnsent}).Draw(m.t, "commit")
	m.wire.next.Store(next)
	return next
}

// writeBack is what the consumer's pool does with verdicts.
func (m *machine) writeBack(vs []order.Verdict) {
	m.ignoreUnloaded(sink{m.ledger, m}.Apply(m.ctx(), order.Changes(vs)))
	read := slices.DeleteFunc(slices.Clone(vs), func(v order.Verdict) bool { return v.Seq > 0 })
	m.ignoreUnloaded(m.ledger.Replay(m.ctx(), read))
}

func (m *machine) ignoreUnloaded(err error) {
	if !errors.Is(err, stock.ErrNotLoaded) {
		require.NoError(m.t, err)
	}
}

// lateWriteBack is one that was under way, in any order; it may come again.
func (m *machine) lateWriteBack() {
	if len(m.late) == 0 {
		m.t.Skip("nothing is under way")
	}
	i := rapid.IntRange(0, len(m.late)-1).Draw(m.t, "change")
	m.ignoreUnloaded(m.ledger.Apply(m.ctx(), m.late[i:i+1]))
	if rapid.Bool().Draw(m.t, "once") {
		m.late = slices.Delete(m.late, i, i+1)
	}
}

// confirmed picks an order that is so in MySQL.
func (m *machine) confirmed() order.Record {
	rs := slices.DeleteFunc(m.records(), func(r order.Record) bool { return r.Status != order.StatusConfirmed })
	if len(rs) == 0 {
		m.t.Skip("nothing is confirmed")
	}
	return rapid.SampledFrom(rs).Draw(m.t, "order")
}

// records are the orders of the model, by ID.
func (m *machine) records() []order.Record {
	var all []order.Record
	for _, s := range shoppers {
		rs, err := m.store.model.ByShopper(m.ctx(), m.saleID, s, 0, 1000)
		require.NoError(m.t, err)
		all = append(all, rs...)
	}
	slices.SortFunc(all, func(a, b order.Record) int { return int(a.ID - b.ID) })
	return all
}

// payOrCancel is a shopper who cancels, or a payment, of an order in any state.
func (m *machine) payOrCancel() {
	r := m.confirmed()
	again := rapid.IntRange(1, 2).Draw(m.t, "times")
	pays := rapid.Bool().Draw(m.t, "pays")
	m.drawCommit()
	for range again {
		var err error
		if pays {
			_, err = m.payments.Pay(m.ctx(), order.Payment{EventID: "e" + r.ID.String(), OrderID: r.ID, AmountMinor: int64(r.Quantity), Currency: "CNY"})
		} else {
			_, err = m.payments.Cancel(m.ctx(), r.ID)
		}
		require.NoError(m.t, err)
	}
}

// expire lets the time of one order be over.
func (m *machine) expire() {
	r := m.confirmed()
	_, err := m.db.ExecContext(m.ctx(), `UPDATE orders SET pay_by = NOW(3) - INTERVAL 1 SECOND WHERE id = ?`, int64(r.ID))
	require.NoError(m.t, err)
	m.overdue = r.ID
	m.drawCommit()
	m.expirer.Forget()
	require.NoError(m.t, m.expirer.Step(m.ctx()))
	require.Zero(m.t, m.overdue, "what is due is cancelled")
}

// command is an operator's; sent again under its ID it does nothing.
func (m *machine) command() {
	id := m.commandID()
	what := rapid.SampledFrom([]string{"restock", "restock", "pause", "resume", "resume", "resume", "end"}).Draw(m.t, "command")
	units := rapid.IntRange(-2, 3).Draw(m.t, "units")
	if what == "end" && rapid.IntRange(0, 4).Draw(m.t, "rarely") > 0 {
		m.t.Skip("not now")
	}
	again := rapid.IntRange(1, 2).Draw(m.t, "times")
	m.drawCommit()
	action := order.Restocking(units)
	if what != "restock" {
		action = order.Moving("", map[string]order.SaleState{"pause": order.SalePaused, "resume": order.SaleOpen, "end": order.SaleEnded}[what])
	}
	for range again {
		_, err := m.store.Operate(m.ctx(), order.Operation{Command: id, SaleID: m.saleID, Action: action})
		if !errors.Is(err, order.ErrConflict) {
			require.NoError(m.t, err)
		}
	}
}

func (m *machine) commandID() string {
	m.commands++
	return fmt.Sprintf("%d-%d", m.saleID, m.commands)
}
