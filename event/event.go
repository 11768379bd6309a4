// Package event publishes order events for other systems. Every verdict and every
// later change of an order becomes a CloudEvent, as does every payment of it that is
// to be refunded: it is sent at least once, and the events of one order are sent in
// the order of its changes.
//
// The log of changes is the outbox. Once a second each process finds the sales
// that have changes after their row in event_cursors, takes those that no other
// process has a lease on, reads a page (up to 2,048 orders), sends its events, each
// order's to the queue that its ID selects, and moves the cursor when the broker
// has stored all of them. The cursor is the only truth: by induction, everything
// up to it is stored, whichever process sent it. A page that failed is sent again
// as a whole, and a process that outlived its lease repeats old pages; the event's
// ID and sequence make both harmless. An event takes its time and ID from its
// change, so it is the same whenever it is sent.
//
// Closed sales are checked at every tenth step, so a sale can be closed before its
// events are sent. Whatever prunes the log must stay behind the cursor.
package event

import (
	_ "embed"
	"encoding/json"
	"fmt"

	"seckill/order"
)

// Schema is the JSON schema of the events of orders, RefundSchema that of the events of
// payments to be refunded.
var (
	//go:embed order-event.v1.schema.json
	Schema []byte
	//go:embed refund-event.v1.schema.json
	RefundSchema []byte
)

const (
	specVersion  = "1.0"
	orderSchema  = "urn:seckill:order-event:1#data"
	refundSchema = "urn:seckill:refund-event:1#data"
	// RefundType is the type of an event that tells of a payment to be refunded.
	RefundType = "seckill.payment.refund_required"
	// refundTag stands in place of the order's status, so that whoever filters by
	// statuses does not get it.
	refundTag = order.Status(order.OutcomeRefundRequired)
)

// Event is a CloudEvent in structured JSON mode. Its schema documents the fields.
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

// Data is the order after a change.
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
	Payment        *Payment     `json:"payment,omitempty"` // of RefundType only
}

// Payment is one that is to be refunded.
type Payment struct {
	EventID     string             `json:"event_id"` // the provider's
	AmountMinor int64              `json:"amount_minor"`
	Currency    string             `json:"currency"`
	Reason      order.RefundReason `json:"reason"`
}

// Parse parses the body of a message. It ignores fields that a newer version
// added.
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
