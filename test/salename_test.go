//go:build e2e

package test

import (
	"context"
	"encoding/json"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/admin"
	"seckill/order"
)

// completions are what the shell offers after these words.
func completions(t *testing.T, env []string, words ...string) (offered, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append([]string{"__complete"}, words...)...)
	cmd.Env = env
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	require.NoError(t, err, errs.String())
	return string(out), errs.String()
}

// An operator works a night with the names that the shop has for its sales.
func TestAnOperatorNamesSalesAsTheShopDoes(t *testing.T) {
	s := newShop(t, beside(t), 1, 1)
	id, digits := s.sale(saleTerms{stock: 100}), s.sale(saleTerms{stock: 100})
	run := func(code int, words ...string) string {
		t.Helper()
		out, got := command(t, s.env, "", words...)
		require.Equal(t, code, got, "%v: %s", words, out)
		return out
	}
	run(0, "sale", "update", id, "--external-id", "drop-7", "--title", "Sneaker drop")
	run(0, "sale", "update", digits, "--external-id", "20261111")
	number, err := strconv.ParseInt(id, 10, 64)
	require.NoError(t, err)
	o := order.Order{ID: order.ID(number) + 1<<30, SaleID: number, ShopperID: "zoe", Quantity: 1}
	_, err = s.store.Settle(t.Context(), []order.Order{o})
	require.NoError(t, err)

	require.Contains(t, run(0, "sale", "show", "20261111"), digits)
	for _, words := range [][]string{
		{"sale", "show", "drop-7"},
		{"sale", "pause", "ext:drop-7"},
		{"sale", "resume", "id:" + id},
		{"sale", "pause", "--all"},
		{"sale", "resume", "--all"},
		{"sale", "restock", "drop-7", "--units", "5"},
		{"sale", "restock", "drop-7", "--units", "-5", "--yes"},
		{"sale", "extend-pay", "drop-7", "--by", "5m", "--yes"},
		{"sale", "watch", "drop-7", "--count", "1"},
		{"sale", "report", "drop-7"},
		{"sale", "report", "drop-7", "--csv"},
		{"audit", "drop-7"},
		{"rebuild", "drop-7"},
		{"order", "list", "--sale", "drop-7"},
		{"order", "show", o.ID.String(), "--sale", "drop-7", "--shopper", "zoe"},
		{"audit-log", "--sale", "drop-7"},
		{"dead-letters", "list", "--sale", "drop-7"},
		{"events", "tail", "--sale", "drop-7", "--limit", "1", "--from-start"},
	} {
		out := run(0, words...)
		if words[0] != "dead-letters" && words[len(words)-1] != "--csv" { // which say nothing of the sale
			require.Contains(t, out, id, words)
		}
	}
	out, code := command(t, s.env, "", "preflight", "drop-7")
	require.Contains(t, []int{0, 1}, code)
	require.Contains(t, out, "Sneaker drop")
	for _, words := range [][]string{{"sale", "show", "nobody"}, {"preflight", "nobody"}, {"order", "list", "--sale", "nobody"}, {"sale", "void", "nobody", "--yes"}} {
		run(3, words...)
	}

	run(2, "sale", "void", "drop-7")
	run(2, "order", "cancel", o.ID.String(), "--json")
	var v admin.SaleView
	require.NoError(t, json.Unmarshal([]byte(run(0, "sale", "show", "drop-7", "--json")), &v))
	require.Equal(t, []string{"open", "¥99.00"}, []string{v.State, v.Price})

	offered, stderr := completions(t, s.env, "sale", "void", "")
	require.Contains(t, offered, id+"\tSneaker drop, open\n")
	require.Contains(t, offered, "drop-7\tSneaker drop, open\n")
	require.Contains(t, offered, "ext:20261111\te2e, open\n", "digits are offered as what they are")
	require.NotContains(t, stderr, "level=")
	offered, _ = completions(t, s.env, "order", "list", "--sale", "dro")
	require.Equal(t, "drop-7\tSneaker drop, open\n:4\n", offered)
	for _, env := range [][]string{nil, append(s.env, "SECKILL_MYSQL_DSN=x:y@tcp(127.0.0.1:1)/z"), append(s.env, "SECKILL_MYSQL_DSN=x:y@tcp("+silent(t)+")/z")} {
		began := time.Now()
		offered, stderr = completions(t, env, "sale", "void", "")
		require.Equal(t, ":4\n", offered)
		require.Equal(t, "Completion ended with directive: ShellCompDirectiveNoFileComp\n", stderr)
		require.Less(t, time.Since(began), 5*time.Second)
	}
	run(0, "sale", "void", "drop-7", "--yes")
	run(0, "sale", "end", "ext:20261111", "--yes")
}

// silent is a server that accepts connections and says nothing.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}
