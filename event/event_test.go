package event_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"seckill/event"
	"seckill/order"
)

// schema is the published one.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(event.Schema))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource("urn:seckill:order-event:1", doc))
	s, err := c.Compile("urn:seckill:order-event:1")
	require.NoError(t, err)
	_, err = c.Compile("urn:seckill:order-event:1#data") // where dataschema leads
	require.NoError(t, err)
	return s
}

// keeps checks a message's body against the schema.
func keeps(t *testing.T, s *jsonschema.Schema, body []byte) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	require.NoError(t, err)
	require.NoError(t, s.Validate(doc), "%s", body)
}

func sample() order.Event {
	return order.Event{
		Verdict: order.Verdict{
			Order:  order.Order{ID: 1 << 50, SaleID: 1 << 40, ShopperID: "42", Slot: 3, Quantity: 2, Key: 9, Reference: `cart-"77" <&>`},
			Status: order.StatusConfirmed, Seq: 17,
		},
		At: time.Date(2026, 11, 11, 20, 0, 0, 120e6, time.FixedZone("CST", 8*3600)), UnitPrice: 9900, Currency: "CNY", SKU: "杯子-1",
	}
}

func encoded(e order.Event, seal event.Seal) []byte { return event.Message(e, seal).Body }

// plain is e as Event has it.
func plain(e order.Event) event.Event {
	const layout = "2006-01-02T15:04:05.000Z"
	id, sale := e.ID.String(), strconv.FormatInt(e.SaleID, 10)
	return event.Event{
		SpecVersion: "1.0", ID: fmt.Sprintf("%d-%d-%d", e.SaleID, e.Seq, e.ID), Source: "/sales/" + sale, Type: "seckill.order." + string(e.Status),
		Subject: id, Time: e.At.UTC().Format(layout), DataContentType: "application/json", DataSchema: "urn:seckill:order-event:1#data",
		Data: event.Data{
			OrderID: id, SaleID: sale, ShopperID: e.ShopperID, Reference: e.Reference, SKU: e.SKU, Status: e.Status, Reason: e.Reason,
			Quantity: e.Quantity, UnitPriceMinor: e.UnitPrice, AmountMinor: e.UnitPrice * int64(e.Quantity), Currency: e.Currency,
			Sequence: e.Seq, CreatedAt: e.ID.Time().Format(layout),
		},
	}
}

func TestAnEventIsWrittenAsEncodingJSONWouldWriteIt(t *testing.T) {
	t.Parallel()
	strange := []string{"", "cart-77", `"`, `\`, "<b>&amp;</b>", "a\tb\x00\x7f", "限量\u2028\u2029", "\xff\xfe", strings.Repeat("x", 64)}
	for _, s := range strange {
		for _, status := range []order.Status{order.StatusConfirmed, order.StatusRejected} {
			e := sample()
			e.Reference, e.SKU, e.ShopperID, e.Status = s, s, s, status
			if status == order.StatusRejected {
				e.Reason, e.Quantity = order.ReasonVoid, 0
			}
			want, err := json.Marshal(plain(e))
			require.NoError(t, err)
			require.Equal(t, string(want), string(encoded(e, nil)))
		}
	}
	m := event.Message(sample(), nil)
	require.Equal(t, []any{"1099511627776-17-1125899906842624", order.ID(1 << 50), order.StatusConfirmed}, []any{m.ID, m.OrderID, m.Status})
}

func BenchmarkMessage(b *testing.B) {
	e := sample()
	e.Reference, e.SKU = "cart-77", "cup-1"
	for name, encode := range map[string]func(){
		"by hand":          func() { event.Message(e, nil) },
		"by encoding/json": func() { _, _ = json.Marshal(plain(e)) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				encode()
			}
		})
	}
}

func TestAnEventIsWhatTheDocumentShows(t *testing.T) {
	t.Parallel()
	sealer, err := order.NewSealer([]byte(strings.Repeat("k", 32)))
	require.NoError(t, err)
	e := sample()
	public := sealer.Seal(e.ID, e.SaleID, e.ShopperID)
	require.JSONEq(t, `{
		"specversion": "1.0", "id": "1099511627776-17-1125899906842624", "source": "/sales/1099511627776",
		"type": "seckill.order.confirmed", "subject": "1125899906842624", "time": "2026-11-11T12:00:00.120Z",
		"datacontenttype": "application/json", "dataschema": "urn:seckill:order-event:1#data",
		"data": {
			"order_id": "1125899906842624", "public_id": "`+public+`", "sale_id": "1099511627776", "shopper_id": "42",
			"reference": "cart-\"77\" <&>", "sku": "杯子-1", "status": "confirmed", "quantity": 2, "unit_price_minor": 9900, "amount_minor": 19800,
			"currency": "CNY", "sequence": 17, "created_at": "2025-01-04T02:33:55.456Z"
		}
	}`, string(encoded(e, sealer.Seal)))
	id, sale, err := sealer.Open(public, "42")
	require.NoError(t, err)
	require.Equal(t, e.ID, id)
	require.Equal(t, e.SaleID, sale)
}

func TestEveryKindOfEventKeepsTheSchema(t *testing.T) {
	t.Parallel()
	s := schema(t)
	for _, status := range []order.Status{order.StatusConfirmed, order.StatusPaid, order.StatusCancelled} {
		e := sample()
		e.Status = status
		keeps(t, s, encoded(e, nil))
	}
	for _, reason := range []order.Reason{order.ReasonSoldOut, order.ReasonPurchaseLimit, order.ReasonPoison, order.ReasonVoid} {
		e := sample()
		e.Status, e.Reason, e.Quantity, e.Reference, e.SKU = order.StatusRejected, reason, 0, "", ""
		keeps(t, s, encoded(e, nil))
	}
}

func TestTheSchemaRefusesWhatNoEventIs(t *testing.T) {
	t.Parallel()
	s := schema(t)
	for what, spoil := range map[string]func(*event.Event){
		"another version":       func(e *event.Event) { e.SpecVersion = "0.3" },
		"an ID of its own":      func(e *event.Event) { e.ID = "x" },
		"a status unheard of":   func(e *event.Event) { e.Data.Status = "pending" },
		"a type unheard of":     func(e *event.Event) { e.Type = "seckill.order.pending" },
		"a reason when it sold": func(e *event.Event) { e.Data.Reason = order.ReasonVoid },
		"none when it did not":  func(e *event.Event) { e.Data.Status = order.StatusRejected },
		"less than nothing":     func(e *event.Event) { e.Data.AmountMinor = -1 },
		"no shopper":            func(e *event.Event) { e.Data.ShopperID = "" },
		"a time of no zone":     func(e *event.Event) { e.Time = "2026-11-11T12:00:00.120" },
		"no sequence":           func(e *event.Event) { e.Data.Sequence = 0 },
	} {
		e := plain(sample())
		spoil(&e)
		body, err := json.Marshal(e)
		require.NoError(t, err)
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
		require.NoError(t, err)
		require.Error(t, s.Validate(doc), what)
	}
}

func TestAnEventIsReadBack(t *testing.T) {
	t.Parallel()
	body := encoded(sample(), nil)
	e, err := event.Parse(bytes.Replace(body, []byte(`"currency"`), []byte(`"new_in_2.0":{"a":[1]},"currency"`), 1))
	require.NoError(t, err)
	require.Equal(t, plain(sample()), e, "what a newer version adds is passed over")
	for _, bad := range []string{"", "{", "null", "[]", `{"specversion":"0.3","id":"1","data":{"order_id":"1"}}`, `{"specversion":"1.0","id":"1"}`} {
		_, err := event.Parse([]byte(bad))
		require.Error(t, err, bad)
	}
}
