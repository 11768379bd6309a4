package order_test

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/order"
)

func largest() order.Order {
	return order.Order{
		ID: math.MaxInt64, SaleID: math.MaxInt64, ShopperID: strings.Repeat("~", 64), Slot: order.MaxSlots - 1,
		Quantity: order.MaxQuantity, Key: math.MaxUint64, Reference: strings.Repeat(" ", 64),
	}
}

func smallest() order.Order {
	return order.Order{ID: 1, SaleID: 1, ShopperID: "!", Quantity: 1}
}

func TestAMessageReadsAsTheOrderItWasMadeOf(t *testing.T) {
	t.Parallel()
	for _, o := range []order.Order{smallest(), largest()} {
		body := order.AppendMessage(nil, o)
		got, err := order.DecodeMessage(body)
		require.NoError(t, err)
		require.Equal(t, o, got)
		got, err = order.DecodeMessage(append(body, "fields of a later program"...))
		require.NoError(t, err)
		require.Equal(t, o, got)
		for n := range body {
			_, err := order.DecodeMessage(body[:n])
			require.ErrorIs(t, err, order.ErrMalformed, "cut to %d bytes", n)
		}
	}
}

func TestMessagesOutOfRangeAreMalformed(t *testing.T) {
	t.Parallel()
	for name, break_ := range map[string]func(*order.Order){
		"no ID":              func(o *order.Order) { o.ID = 0 },
		"negative ID":        func(o *order.Order) { o.ID = -1 },
		"no sale":            func(o *order.Order) { o.SaleID = 0 },
		"no shopper":         func(o *order.Order) { o.ShopperID = "" },
		"long shopper":       func(o *order.Order) { o.ShopperID = strings.Repeat("a", 65) },
		"space in shopper":   func(o *order.Order) { o.ShopperID = "a b" },
		"shopper not ASCII":  func(o *order.Order) { o.ShopperID = "é" },
		"slot":               func(o *order.Order) { o.Slot = order.MaxSlots },
		"negative slot":      func(o *order.Order) { o.Slot = -1 },
		"no quantity":        func(o *order.Order) { o.Quantity = 0 },
		"quantity":           func(o *order.Order) { o.Quantity = order.MaxQuantity + 1 },
		"long reference":     func(o *order.Order) { o.Reference = strings.Repeat("a", 65) },
		"control characters": func(o *order.Order) { o.Reference = "a\nb" },
	} {
		o := smallest()
		break_(&o)
		require.ErrorIs(t, o.Validate(), order.ErrInvalid, name)
		_, err := order.DecodeMessage(order.AppendMessage(nil, o))
		require.ErrorIs(t, err, order.ErrMalformed, name)
	}
}

func TestANewerMessageIsNotMalformed(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{2, 0x1f} {
		_, err := order.DecodeMessage([]byte{version, 0xff})
		require.ErrorIs(t, err, order.ErrNewerVersion)
		require.NotErrorIs(t, err, order.ErrMalformed)
	}
	for _, body := range []string{"", "\x00", " ", `{"id":1}`, "\xff"} {
		_, err := order.DecodeMessage([]byte(body))
		require.ErrorIs(t, err, order.ErrMalformed, "%q", body)
	}
}

func FuzzDecodeMessage(f *testing.F) {
	f.Add(order.AppendMessage(nil, smallest()))
	f.Add(order.AppendMessage(nil, largest()))
	f.Add([]byte{2})
	f.Add([]byte(`{"id":1}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		o, err := order.DecodeMessage(body)
		if err != nil {
			return
		}
		require.NoError(t, o.Validate())
		again := order.AppendMessage(nil, o)
		require.Equal(t, again, body[:len(again)])
	})
}

func BenchmarkAppendMessage(b *testing.B) {
	o, buf := largest(), []byte(nil)
	b.ReportAllocs()
	for b.Loop() {
		buf = order.AppendMessage(buf[:0], o)
	}
}

func BenchmarkDecodeMessage(b *testing.B) {
	body := order.AppendMessage(nil, largest())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := order.DecodeMessage(body); err != nil {
			b.Fatal(err)
		}
	}
}
