package cli

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
)

func TestExport_EveryValueIsTextInASpreadsheetAndCanBeReadAgain(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"7234567890123456789": "'7234567890123456789", "0042": "'0042", "TRUE": "'TRUE", "1-2": "'1-2", "1E5": "'1E5",
		"=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", " =1": "' =1", "＝1+1": "'＝1+1", "－1": "'－1",
		"\t=1": "'\t'=1", "\r=1": "'\r'=1", "\n=1": "'\n'=1", "\r\n=1": "'\r'\n'=1",
		`x;=HYPERLINK("http://x")`: `'x;'=HYPERLINK("http://x")`, "a,b;=1": "'a,'b;'=1", ";;-1": "';';'-1", ";'": "';''",
		"": "", `say "hi"`: `'say "hi"`, "'quoted": "''quoted", "限量": "'限量",
	} {
		cell := inSpreadsheets(value)
		require.Equal(t, want, cell)
		// As docs/operations.md tells programs to read it.
		require.Equal(t, value, regexp.MustCompile("(^|[,;\t\r\n])'").ReplaceAllString(cell, "$1"))
	}
}

// fullDisk is a disk with this much space.
type fullDisk struct{ left int }

func (n *fullDisk) Write(b []byte) (int, error) {
	if n.left -= len(b); n.left < 0 {
		return 0, errFull
	}
	return len(b), nil
}

var errFull = &silentError{1}

func TestAFullDiskEndsAnExport(t *testing.T) {
	t.Parallel()
	w := newCSVWriter(&fullDisk{left: 100 << 10})
	var err error
	lines := 0
	for ; err == nil && lines < 1_000_000; lines++ {
		err = w.Write([]string{"cell"})
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
	}, cells(r, "CNY", sealer, strings.Clone))
	require.Empty(t, cells(r, "CNY", nil, inSpreadsheets)[1], "unknown without the keys")

	var out bytes.Buffer
	w := newCSVWriter(&out)
	require.NoError(t, w.Write([]string{`a "b"`, "c,d", ""}))
	w.Flush()
	require.Equal(t, "\"a \"\"b\"\"\",\"c,d\",\r\n", out.String())
}
