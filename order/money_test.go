package order_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/order"
)

func TestMoneyIsWrittenAsPeopleWriteIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		minor    int64
		currency string
		want     string
	}{
		{9900, "CNY", "¥99.00"},
		{99, "CNY", "¥0.99"},
		{5, "USD", "$0.05"},
		{0, "EUR", "€0.00"},
		{-150, "EUR", "-€1.50"},
		{1999, "JPY", "¥1999"},
		{-3, "KRW", "-₩3"},
		{9900, "KWD", "KWD 9.900"},
		{9, "KWD", "KWD 0.009"},
		{12345, "CLF", "CLF 1.2345"},
		{100, "CHF", "CHF 1.00"},
	} {
		require.Equal(t, c.want, order.Money(c.minor, c.currency))
	}
}
