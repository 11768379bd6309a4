package event

import (
	"encoding/json"
	"strconv"
	"time"

	"seckill/order"
	"seckill/queue"
)

// Seal makes the public ID of an order.
type Seal func(id order.ID, saleID int64, shopper string) string

func timestamp(t time.Time) string {
	return t.UTC().Format("2006-01-02T15:04:05.000Z") // always with milliseconds, like the columns
}

// eventOf returns e as a CloudEvent; seal may be nil.
func eventOf(e order.Event, seal Seal) Event {
	sale, id := strconv.FormatInt(e.SaleID, 10), e.ID.String()
	v := Event{
		SpecVersion: specVersion, ID: sale + "-" + strconv.FormatUint(e.Seq, 10) + "-" + id, Source: "/sales/" + sale,
		Type: "seckill.order." + string(e.Status), Subject: id, Time: timestamp(e.At),
		DataContentType: "application/json", DataSchema: orderSchema,
		Data: Data{
			OrderID: id, SaleID: sale, ShopperID: e.ShopperID, Reference: e.Reference, SKU: e.SKU, Status: e.Status, Reason: e.Reason,
			Quantity: e.Quantity, UnitPriceMinor: e.UnitPrice, AmountMinor: e.UnitPrice * int64(e.Quantity), Currency: e.Currency,
			Sequence: e.Seq, CreatedAt: timestamp(e.ID.Time()),
		},
	}
	if r := e.Refund; r != nil {
		v.Type, v.DataSchema = RefundType, refundSchema
		v.Data.Payment = &Payment{EventID: r.EventID, AmountMinor: r.AmountMinor, Currency: r.Currency, Reason: r.Why}
	}
	if seal != nil {
		v.Data.PublicID = seal(e.ID, e.SaleID, e.ShopperID)
	}
	return v
}

// message encodes e; seal may be nil.
func message(e order.Event, seal Seal) queue.EventMessage {
	v := eventOf(e, seal)
	body, _ := json.Marshal(v) //nolint:errchkjson // strings and numbers cannot fail
	m := queue.EventMessage{ID: v.ID, OrderID: e.ID, Status: e.Status, Body: body}
	if e.Refund != nil {
		m.Status = refundTag
	}
	return m
}
