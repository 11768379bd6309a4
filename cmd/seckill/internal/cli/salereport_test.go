package cli

import (
	"bytes"
	"encoding/csv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
)

func TestNoCellIsTakenForAFormula(t *testing.T) {
	t.Parallel()
	given := []string{"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", `=cmd|' /C calc'!A0`, "a=1", "", `say "hi"`, "a,b;=1", "two\nlines", "'quoted", "限量"}
	want := []string{"'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\t=1", "'\r=1", "'\n=1", `'=cmd|' /C calc'!A0`, "a=1", "", `say "hi"`, "a,b;=1", "two\nlines", "'quoted", "限量"}
	var out bytes.Buffer
	w := newCSVWriter(&out)
	require.NoError(t, w.line(given...))
	require.NoError(t, w.to.Flush())
	require.Contains(t, out.String(), `"a,b;=1"`, "quoted, whatever a spreadsheet takes for the separator")
	require.True(t, bytes.HasSuffix(out.Bytes(), []byte("\"\r\n")))
	read, err := csv.NewReader(&out).Read()
	require.NoError(t, err)
	require.Equal(t, want, read)
}

// noRoom takes so many bytes.
type noRoom struct{ left int }

func (n *noRoom) Write(b []byte) (int, error) {
	if n.left -= len(b); n.left < 0 {
		return 0, errFull
	}
	return len(b), nil
}

var errFull = &silentError{1}

func TestAFullDiskEndsAnExport(t *testing.T) {
	t.Parallel()
	w := newCSVWriter(&noRoom{left: 100 << 10})
	var err error
	lines := 0
	for ; err == nil && lines < 1_000_000; lines++ {
		err = w.line("cell")
	}
	require.ErrorIs(t, err, errFull)
	require.Less(t, lines, 1_000_000)
}

func TestALineOfAnExportHasTheIDThatTheShopperHas(t *testing.T) {
	t.Parallel()
	sealer, err := order.NewSealer(bytes.Repeat([]byte("k"), 32))
	require.NoError(t, err)
	r := order.Record{
		Order:  order.Order{ID: 42 << 22, SaleID: 7, ShopperID: "shopper-1", Quantity: 3, Reference: "cart-1"},
		Status: order.StatusRejected, Reason: "sold_out", UnitPrice: 9900, DecidedAt: time.Date(2026, 11, 21, 20, 0, 0, 5e6, time.UTC),
	}
	require.Equal(t, []string{
		r.ID.String(), sealer.Seal(r.ID, 7, "shopper-1"), "shopper-1", "3", "9900", "29700", "CNY",
		"rejected", "sold_out", "cart-1", "2025-01-01T00:00:00.042Z", "2026-11-21T20:00:00.005Z", "",
	}, cells(r, "CNY", sealer))
	require.Empty(t, cells(r, "CNY", nil)[1], "without the keys nobody can tell")
}
