//go:build e2e

package test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
	"seckill/stock"
)

// An API reserves and sends, and what arrives is garbage.
func TestAnOrderWhoseMessageIsUnreadableEndsByTheSweepersWay(t *testing.T) {
	s := newShop(t, beside(t), 1, 1)
	sale := s.sale(saleTerms{stock: 100})
	o := s.unsent(sale, "victim-", 1)[0]
	rs, err := stock.New(s.rdb).Reserve(t.Context(), o.SaleID, []order.Order{o})
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

func (s *shop) deadLetters(t *testing.T) (found []map[string]any) {
	t.Helper()
	out, code := command(t, s.env, "", "dead-letters", "list", "--json")
	require.Zero(t, code)
	require.NoError(t, json.Unmarshal([]byte(out), &found))
	return found
}
