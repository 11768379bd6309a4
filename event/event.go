// Package event tells other systems what became of each order. Every verdict and
// every later change of an order leaves as a CloudEvent: at least once, in the
// order of the order's changes, read from the log of changes and from nothing
// that a process remembers. Any number of processes may send.
package event

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"seckill/order"
)

// Schema is the JSON schema that every event keeps.
//
//go:embed order-event.v1.schema.json
var Schema []byte

const (
	specVersion = "1.0"
	dataSchema  = "urn:seckill:order-event:1#data"
	typePrefix  = "seckill.order."
	// timeLayout always has milliseconds, as the columns have.
	timeLayout = "2006-01-02T15:04:05.000Z"
)

// Event is a CloudEvent in structured JSON mode. Schema says what the fields
// promise.
type Event struct {
	SpecVersion     string `json:"specversion"`
	ID              string `json:"id"`
	Source          string `json:"source"`
	Type            string `json:"type"`
	Subject         string `json:"subject"`
	Time            string `json:"time"`
	DataContentType string `json:"datacontenttype"`
	DataSchema      string `json:"dataschema"`
	Data            Data   `json:"data"`
}

// Data is the order as a change left it.
type Data struct {
	OrderID        string       `json:"order_id"`
	PublicID       string       `json:"public_id,omitempty"`
	SaleID         string       `json:"sale_id"`
	ShopperID      string       `json:"shopper_id"`
	Reference      string       `json:"reference,omitempty"`
	SKU            string       `json:"sku"`
	Status         order.Status `json:"status"`
	Reason         order.Reason `json:"reason,omitempty"`
	Quantity       int          `json:"quantity"`
	UnitPriceMinor int64        `json:"unit_price_minor"`
	AmountMinor    int64        `json:"amount_minor"`
	Currency       string       `json:"currency"`
	Sequence       uint64       `json:"sequence"`
	CreatedAt      string       `json:"created_at"`
}

// Seal makes the ID that a shopper has of an order.
type Seal func(id order.ID, saleID int64, shopper string) string

// New returns the event of e; seal may be nil.
func New(e order.Event, seal Seal) Event {
	id, sale := e.ID.String(), strconv.FormatInt(e.SaleID, 10)
	event := Event{
		SpecVersion: specVersion, ID: sale + "-" + strconv.FormatUint(e.Seq, 10) + "-" + id,
		Source: "/sales/" + sale, Type: typePrefix + string(e.Status), Subject: id, Time: e.At.UTC().Format(timeLayout),
		DataContentType: "application/json", DataSchema: dataSchema,
		Data: Data{
			OrderID: id, SaleID: sale, ShopperID: e.ShopperID, Reference: e.Reference, SKU: e.SKU,
			Status: e.Status, Reason: e.Reason, Quantity: e.Quantity,
			UnitPriceMinor: e.UnitPrice, AmountMinor: e.UnitPrice * int64(e.Quantity), Currency: e.Currency,
			Sequence: e.Seq, CreatedAt: e.ID.Time().Format(timeLayout),
		},
	}
	if seal != nil {
		event.Data.PublicID = seal(e.ID, e.SaleID, e.ShopperID)
	}
	return event
}

// message is e as a topic stores it.
func message(e order.Event, seal Seal) (order.EventMessage, error) {
	event := New(e, seal)
	body, err := json.Marshal(event)
	if err != nil {
		return order.EventMessage{}, fmt.Errorf("event %s: %w", event.ID, err)
	}
	return order.EventMessage{ID: event.ID, OrderID: e.ID, Status: e.Status, Body: body}, nil
}

// Parse reads the body of a message. Fields that a newer version added are
// passed over.
func Parse(body []byte) (Event, error) {
	var e Event
	if err := json.Unmarshal(body, &e); err != nil {
		return Event{}, fmt.Errorf("event: %w", err)
	}
	if e.SpecVersion != specVersion || e.ID == "" || e.Data.OrderID == "" {
		return Event{}, fmt.Errorf("event: no order event of CloudEvents %s: %.80q", specVersion, body)
	}
	return e, nil
}

// When returns the event's time, zero when it is none.
func (e Event) When() time.Time {
	t, _ := time.Parse(time.RFC3339, e.Time)
	return t
}
