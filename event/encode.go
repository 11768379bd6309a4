package event

import (
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"seckill/order"
	"seckill/queue"
)

// Seal makes the public ID of an order.
type Seal func(id order.ID, saleID int64, shopper string) string

// timeLayout always has milliseconds, like the columns.
const timeLayout = "2006-01-02T15:04:05.000Z"

// message encodes e; seal may be nil. It appends the body field by field, in the
// order of Event: encoding/json takes twice as long, and every order of a spike
// is encoded here.
func message(e order.Event, seal Seal) queue.EventMessage {
	sale, id := strconv.FormatInt(e.SaleID, 10), e.ID.String()
	name := sale + "-" + strconv.FormatUint(e.Seq, 10) + "-" + id
	b := make([]byte, 0, 768)
	b = append(b, `{"specversion":"`+specVersion+`","id":"`...)
	b = append(b, name...)
	b = append(b, `","source":"/sales/`...)
	b = append(b, sale...)
	b = append(b, `","type":"seckill.order.`...)
	b = append(b, e.Status...)
	b = append(b, `","subject":"`...)
	b = append(b, id...)
	b = appendTime(append(b, `","time":`...), e.At)
	b = append(b, `,"datacontenttype":"application/json","dataschema":"urn:seckill:order-event:1#data","data":{"order_id":"`...)
	b = append(b, id...)
	if seal != nil {
		b = append(b, `","public_id":"`...)
		b = append(b, seal(e.ID, e.SaleID, e.ShopperID)...)
	}
	b = append(b, `","sale_id":"`...)
	b = append(b, sale...)
	b = appendString(append(b, `","shopper_id":`...), e.ShopperID)
	if e.Reference != "" {
		b = appendString(append(b, `,"reference":`...), e.Reference)
	}
	b = appendString(append(b, `,"sku":`...), e.SKU)
	b = append(b, `,"status":"`...)
	b = append(b, e.Status...)
	if e.Reason != "" {
		b = append(b, `","reason":"`...)
		b = append(b, e.Reason...)
	}
	b = strconv.AppendInt(append(b, `","quantity":`...), int64(e.Quantity), 10)
	b = strconv.AppendInt(append(b, `,"unit_price_minor":`...), e.UnitPrice, 10)
	b = strconv.AppendInt(append(b, `,"amount_minor":`...), e.UnitPrice*int64(e.Quantity), 10)
	b = appendString(append(b, `,"currency":`...), e.Currency)
	b = strconv.AppendUint(append(b, `,"sequence":`...), e.Seq, 10)
	b = appendTime(append(b, `,"created_at":`...), e.ID.Time())
	return queue.EventMessage{ID: name, OrderID: e.ID, Status: e.Status, Body: append(b, `}}`...)}
}

func appendTime(b []byte, t time.Time) []byte {
	return append(t.UTC().AppendFormat(append(b, '"'), timeLayout), '"')
}

// appendString appends s as encoding/json does.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			text, _ := json.Marshal(s) //nolint:errchkjson // a string cannot fail
			return append(b, text...)
		}
	}
	b = append(append(b, '"'), s...)
	return append(b, '"')
}
