// Package event tells other systems what became of each order. Every verdict and
// every later change of an order leaves as a CloudEvent: at least once, in the
// order of the order's changes, read from the log of changes and from nothing
// that a process remembers. Any number of processes may send.
package event

import (
	_ "embed"
	"encoding/json"
	"fmt"

	"seckill/order"
)

// Schema is the JSON schema that every event keeps.
//
//go:embed order-event.v1.schema.json
var Schema []byte

const specVersion = "1.0"

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
