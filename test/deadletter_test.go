//go:build e2e

package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
	"seckill/queue/rocketmq"
	"seckill/stock"
)

// An API reserves and sends, and what arrives is garbage.
func TestAnOrderWhoseMessageIsUnreadableEndsByTheSweepersWay(t *testing.T) {
	s := newShop(t, beside(t), 1, 1)
	sale := s.sale(saleTerms{stock: 100})
	o := s.unsent(sale, "victim-", 1)[0]
	rs, err := stock.New(s.rdb).Reserve(t.Context(), o.SaleID, stock.Purchases(o))
	require.NoError(t, err)
	require.NoError(t, rs[0].Err)
	reserved := time.Now()
	broken := o
	broken.Quantity = 0 // no consumer can read it
	s.publish(s.publisher(), broken)

	require.Eventually(t, func() bool { return len(s.deadLetters(t)) == 1 }, 20*time.Second, 200*time.Millisecond)
	letter := s.deadLetters(t)[0]
	require.Equal(t, o.ID.String(), letter["message_id"])
	require.Equal(t, o.ID.String(), letter["order_id"])
	require.Equal(t, "unreadable", letter["reason"])
	require.Equal(t, false, letter["verdict"])
	require.EqualValues(t, 1, s.audit(sale).Sales[0].Pending, "the letter is no verdict: the reservation stands")

	status := func() (status string) {
		_ = s.db.QueryRow(`SELECT status FROM orders WHERE id = ? AND shopper_id = 'victim-0'`, o.ID.String()).Scan(&status)
		return status
	}
	require.Eventually(t, func() bool { return status() == "confirmed" }, 60*time.Second, 200*time.Millisecond)
	t.Logf("settled %s after its reservation", time.Since(reserved).Round(time.Second))
	require.Eventually(t, func() bool {
		r := s.audit(sale)
		return r.OK && r.Sales[0].Pending == 0 && r.Sales[0].LiveUnits == 1
	}, 20*time.Second, 500*time.Millisecond)
	s.proveDeadLetters(t, o)
}

// proveDeadLetters looks at the letter of o, discards it, and leaves a verdict alone.
func (s *shop) proveDeadLetters(t *testing.T, o order.Order) {
	t.Helper()
	name := o.ID.String()
	out, code := command(t, s.env, "", "dead-letters", "show", name)
	require.Zero(t, code)
	require.Contains(t, out, "no order that this version can read")
	require.Contains(t, out, "|.") // the hex dump
	out, code = command(t, s.env, "", "dead-letters", "list")
	require.Zero(t, code)
	require.Contains(t, out, name)

	_, err := s.db.Exec(`INSERT INTO dead_letters (order_id, sale_id, shopper_id, message_id, reason, detail, body, created_at)
		VALUES (?, ?, 'b', '', 'collision', '', '', NOW(3))`, int64(o.ID)+1, o.SaleID)
	require.NoError(t, err)
	_, code = command(t, s.env, "", "dead-letters", "discard", (o.ID + 1).String(), "--yes")
	require.Equal(t, 1, code, "a verdict stays")
	require.Len(t, s.deadLetters(t), 2)

	_, code = command(t, s.env, "", "dead-letters", "discard", name, "--yes")
	require.Zero(t, code)
	for _, words := range [][]string{{"show", name}, {"discard", name, "--yes"}} {
		_, code = command(t, s.env, "", append([]string{"dead-letters"}, words...)...)
		require.Equal(t, 3, code, words)
	}
	require.Len(t, s.deadLetters(t), 1)
}

// A stranger who may write to the topic makes no order: not of a sale that is only
// scheduled, and not of one that wants a permit. What it writes can be discarded.
func TestWhatNoAPISignedIsNoOrder(t *testing.T) {
	env := beside(t)
	s := newShop(t, env, 0, 1)
	sale, open := s.sale(saleTerms{stock: 100, starts: time.Hour, ends: 2 * time.Hour, permit: true}), s.sale(saleTerms{stock: 100})
	other, err := order.NewSigner("%"+s.setting("SECKILL_ROCKETMQ_TOPIC"), []byte("a key that is none of the shop's."))
	require.NoError(t, err)
	os := s.unsent(sale, "forger-", 3)
	p := s.publisher()
	inject := func(name string, body []byte) {
		t.Helper()
		require.Eventually(t, func() bool { return p.Inject(t.Context(), name, body) == nil }, 20*time.Second, 100*time.Millisecond)
	}
	bodies := map[string][]byte{
		os[0].ID.String():            order.AppendMessage(nil, os[0]),
		os[1].ID.String():            other.Append(nil, os[1]),
		os[2].ID.String():            append(order.AppendMessage(nil, os[2]), make([]byte, 16)...),
		"two":                        {2},
		"nothing":                    {},
		"huge":                       bytes.Repeat([]byte{1}, 100_000),
		"a \"name\"\n\x1b[2J\xff/..": []byte("{}"),
	}
	for name, body := range bodies {
		inject(name, body)
	}
	good := s.unsent(open, "good-", 1)[0]
	s.publish(p, good)
	rows := func(where string) (n int) {
		require.NoError(t, s.db.QueryRow(`SELECT COUNT(*) FROM orders WHERE `+where).Scan(&n))
		return n
	}
	require.Eventually(t, func() bool { return rows("shopper_id = 'good-0' AND status = 'confirmed'") == 1 }, 20*time.Second, 100*time.Millisecond)
	require.Eventually(t, func() bool { return len(s.deadLetters(t)) == len(bodies) }, 20*time.Second, 200*time.Millisecond)
	require.Zero(t, rows("sale_id = "+sale))
	require.Eventually(t, func() bool {
		admin, err := rocketmq.NewAdmin(s.rocketmq())
		require.NoError(t, err)
		defer admin.Close()
		lag, err := admin.Lag(t.Context())
		return err == nil && lag == 0
	}, 20*time.Second, 500*time.Millisecond, "the queue moves on")
	reasons := map[string]int{}
	for _, d := range s.deadLetters(t) {
		reasons[fmt.Sprint(d["reason"])]++
		_, code := command(t, s.env, "", "dead-letters", "discard", "--yes", fmt.Sprint(d["message_id"]))
		require.Zero(t, code, d)
	}
	require.Equal(t, map[string]int{"unsigned": 1, "forged": 3, "unreadable": 3}, reasons)
	require.Empty(t, s.deadLetters(t))

	// During the upgrade from a version that does not sign.
	env["SECKILL_MESSAGE_UNSIGNED_UNTIL"] = time.Now().Add(time.Hour).Format(time.RFC3339)
	s = newShop(t, env, 0, 1)
	old := s.unsent(s.sale(saleTerms{stock: 100}), "old-", 1)[0]
	p = s.publisher()
	inject(old.ID.String(), order.AppendMessage(nil, old))
	require.Eventually(t, func() bool { return rows("shopper_id = 'old-0' AND status = 'confirmed'") == 1 }, 20*time.Second, 100*time.Millisecond)
}

func (s *shop) deadLetters(t *testing.T) (found []map[string]any) {
	t.Helper()
	out, code := command(t, s.env, "", "dead-letters", "list", "--json")
	require.Zero(t, code)
	require.NoError(t, json.Unmarshal([]byte(out), &found))
	return found
}
