package event_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"seckill/event"
	"seckill/order"
)

// schema is the published one of order events.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	return compiled(t, event.Schema, "urn:seckill:order-event:1")
}

func refundSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	return compiled(t, event.RefundSchema, "urn:seckill:refund-event:1")
}

func compiled(t *testing.T, text []byte, name string) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource(name, doc))
	s, err := c.Compile(name)
	require.NoError(t, err)
	_, err = c.Compile(name + "#data") // the address in dataschema
	require.NoError(t, err)
	return s
}

// validates checks a message's body against the schema.
func validates(t *testing.T, s *jsonschema.Schema, body []byte) {
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
	m := event.Message(e, nil)
	require.Equal(t, []any{"1099511627776-17-1125899906842624", order.ID(1 << 50), order.StatusConfirmed}, []any{m.ID, m.OrderID, m.Status})
	require.NotContains(t, string(m.Body), "public_id")
}

func TestEveryKindOfEventMatchesTheSchema(t *testing.T) {
	t.Parallel()
	s := schema(t)
	for _, status := range []order.Status{order.StatusConfirmed, order.StatusPaid, order.StatusCancelled} {
		e := sample()
		e.Status = status
		validates(t, s, encoded(e, nil))
	}
	for _, reason := range []order.Reason{order.ReasonSoldOut, order.ReasonPurchaseLimit, order.ReasonAttemptsUsed, order.ReasonPoison, order.ReasonVoid} {
		e := sample()
		e.Status, e.Reason, e.Quantity, e.Reference, e.SKU = order.StatusRejected, reason, 0, "", ""
		validates(t, s, encoded(e, nil))
	}
}

func TestAPaymentToBeRefundedIsAnEventOfItsOwnKind(t *testing.T) {
	t.Parallel()
	for _, why := range []order.RefundReason{order.RefundCancelled, order.RefundRejected, order.RefundPaid, order.RefundVoided, order.RefundWrongAmount} {
		e := sample()
		e.Status = order.StatusCancelled
		e.Refund = &order.Refund{EventID: "evt_1", OrderID: e.ID, AmountMinor: 50, Currency: "USD", Why: why}
		validates(t, refundSchema(t), encoded(e, nil))
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(encoded(e, nil)))
		require.NoError(t, err)
		require.Error(t, schema(t).Validate(doc), "it is no order event")
		read, err := event.Parse(encoded(e, nil))
		require.NoError(t, err)
		require.Equal(t, event.RefundType, read.Type)
		require.Equal(t, &event.Payment{EventID: "evt_1", AmountMinor: 50, Currency: "USD", Reason: why}, read.Data.Payment)
		require.Equal(t, int64(19800), read.Data.AmountMinor, "the order is told of as ever")
		require.Equal(t, order.StatusCancelled, read.Data.Status)
	}
	for _, reason := range []order.Reason{order.ReasonSoldOut, order.ReasonPurchaseLimit, order.ReasonAttemptsUsed, order.ReasonPoison, order.ReasonVoid} {
		e := sample()
		e.Status, e.Reason, e.Quantity = order.StatusRejected, reason, 0
		e.Refund = &order.Refund{EventID: "evt_1", OrderID: e.ID, AmountMinor: 50, Currency: "USD", Why: order.RefundRejected}
		validates(t, refundSchema(t), encoded(e, nil))
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(encoded(sample(), nil)))
	require.NoError(t, err)
	require.Error(t, refundSchema(t).Validate(doc), "an order event is none")
}

func TestTheSchemaRejectsInvalidEvents(t *testing.T) {
	t.Parallel()
	s := schema(t)
	for name, change := range map[string]func(*event.Event){
		"another version":               func(e *event.Event) { e.SpecVersion = "0.3" },
		"an ID of another form":         func(e *event.Event) { e.ID = "x" },
		"an unknown status":             func(e *event.Event) { e.Data.Status = "pending" },
		"an unknown type":               func(e *event.Event) { e.Type = "seckill.order.pending" },
		"a reason of a confirmed order": func(e *event.Event) { e.Data.Reason = order.ReasonVoid },
		"no reason of a rejected order": func(e *event.Event) { e.Data.Status = order.StatusRejected },
		"a negative amount":             func(e *event.Event) { e.Data.AmountMinor = -1 },
		"no shopper":                    func(e *event.Event) { e.Data.ShopperID = "" },
		"a time without a zone":         func(e *event.Event) { e.Time = "2026-11-11T12:00:00.120" },
		"no sequence":                   func(e *event.Event) { e.Data.Sequence = 0 },
	} {
		e := event.Of(sample(), nil)
		change(&e)
		body, err := json.Marshal(e)
		require.NoError(t, err)
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
		require.NoError(t, err)
		require.Error(t, s.Validate(doc), name)
	}
}

func TestAnEventIsReadBack(t *testing.T) {
	t.Parallel()
	body := encoded(sample(), nil)
	e, err := event.Parse(bytes.Replace(body, []byte(`"currency"`), []byte(`"new_in_2.0":{"a":[1]},"currency"`), 1))
	require.NoError(t, err)
	require.Equal(t, event.Of(sample(), nil), e, "fields of a newer version are ignored")
	for _, bad := range []string{"", "{", "null", "[]", `{"specversion":"0.3","id":"1","data":{"order_id":"1"}}`, `{"specversion":"1.0","id":"1"}`} {
		_, err := event.Parse([]byte(bad))
		require.Error(t, err, bad)
	}
}
