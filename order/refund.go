package order

import (
	"encoding/json"
	"fmt"
	"time"
)

// RefundReason is why a payment pays no order: its money is to be returned.
type RefundReason string

// The reasons. A payment of a wrong amount is refused and may come again, corrected;
// then it is no longer to be refunded.
const (
	RefundCancelled   RefundReason = "cancelled" // by the shopper, an operator, or because it was not paid in time
	RefundRejected    RefundReason = "rejected"
	RefundPaid        RefundReason = "paid"   // by another event before
	RefundVoided      RefundReason = "voided" // its sale was, and the order is yet to be cancelled
	RefundWrongAmount RefundReason = "wrong_amount"
)

// RefundReason returns why p, which is a new event, does not pay the order of r;
// empty if it does. sale is nil if there is none.
func (p Payment) RefundReason(r Record, sale *Sale) RefundReason {
	switch {
	case p.CheckAmount(r, sale) != nil:
		return RefundWrongAmount
	case r.Status != StatusConfirmed:
		return RefundReason(r.Status)
	case sale.Voided:
		return RefundVoided
	default:
		return ""
	}
}

// PaymentRecord is a payment as it is recorded.
type PaymentRecord struct {
	Payment

	SaleID     int64 // 0 while it is unknown: the version before does not record it
	ShopperID  string
	Outcome    Outcome
	Reason     RefundReason // of OutcomeRefundRequired only
	ReceivedAt time.Time
	RefundedAt time.Time // when an operator said so; zero before
}

// RefundDue reports whether the money of p is yet to be returned.
func (p PaymentRecord) RefundDue() bool {
	return p.Outcome == OutcomeRefundRequired && p.RefundedAt.IsZero()
}

// CorrectedBy reports whether next, the same event again, takes the place of p: p was
// of a wrong amount, next is not, and nobody has returned the money of p. reason is
// that of next.
func (p PaymentRecord) CorrectedBy(next Payment, reason RefundReason) bool {
	return p.Reason == RefundWrongAmount && reason != RefundWrongAmount && p.RefundDue() && p.OrderID == next.OrderID
}

// CheckRefund returns ErrConflict for a payment that paid its order: to return that
// money is the shop's own decision, and leaves the order paid.
func (p PaymentRecord) CheckRefund() error {
	if p.Outcome == OutcomeRefundRequired {
		return nil
	}
	return fmt.Errorf("%w: payment %s paid order %d: it is not to be refunded", ErrConflict, p.EventID, p.OrderID)
}

// PaymentQuery selects recorded payments, newest first.
type PaymentQuery struct {
	SaleID    int64  // 0: of all
	ShopperID string // empty: of all
	OrderID   ID     // 0: of all
	RefundDue bool   // only those that are yet to be refunded
	Before    string // only those older than this event; empty: from the newest
	Limit     int
}

// RefundCount is what is yet to be refunded of all sales.
type RefundCount struct {
	Payments int // up to a bound
	Oldest   time.Duration
}

// RefundSum are a sale's payments that pay no order, in one currency.
type RefundSum struct {
	Currency      string
	Due           int64 // payments that are yet to be refunded
	DueMinor      int64
	Refunded      int64 // payments that were
	RefundedMinor int64
}

// Add returns s with p, which is of the same currency.
func (s RefundSum) Add(p PaymentRecord) RefundSum {
	s.Currency = p.Currency
	if p.RefundDue() {
		s.Due, s.DueMinor = s.Due+1, s.DueMinor+p.AmountMinor
	} else {
		s.Refunded, s.RefundedMinor = s.Refunded+1, s.RefundedMinor+p.AmountMinor
	}
	return s
}

// Refund is a change of a sale that records a payment to be refunded: it changes no
// order, and carries what the event of it needs and may change later.
type Refund struct {
	EventID     string       `json:"event_id"`
	OrderID     ID           `json:"order_id"`
	AmountMinor int64        `json:"amount_minor"`
	Currency    string       `json:"currency"`
	Why         RefundReason `json:"why"`
	ShopperID   string       `json:"shopper_id"`
	Quantity    int          `json:"quantity"`
	Status      Status       `json:"status"` // of the order then
	Reason      Reason       `json:"reason,omitempty"`
}

// NewRefund returns the refund of p; r is the order's row as of the same transaction.
func NewRefund(p Payment, why RefundReason, r Record) *Refund {
	return &Refund{
		EventID: p.EventID, OrderID: p.OrderID, AmountMinor: p.AmountMinor, Currency: p.Currency, Why: why,
		ShopperID: r.ShopperID, Quantity: r.Quantity, Status: r.Status, Reason: r.Reason,
	}
}

// verdict returns the order as it was.
func (r Refund) verdict(saleID int64, seq uint64) Verdict {
	return Verdict{
		Order:  Order{ID: r.OrderID, SaleID: saleID, ShopperID: r.ShopperID, Quantity: r.Quantity},
		Status: r.Status, Reason: r.Reason, Seq: seq,
	}
}

// EncodeRefund returns the refund of a change as JSON; nil for none. It stands beside
// the body of EncodeChange, so that versions that know of no refunds read an empty
// change.
func EncodeRefund(r *Refund) []byte {
	if r == nil {
		return nil
	}
	return document(r)
}

// DecodeRefund reads what EncodeRefund wrote. The error is ErrBadChange.
func DecodeRefund(text []byte) (*Refund, error) {
	if text == nil {
		return nil, nil //nolint:nilnil // none is no error
	}
	r := new(Refund)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%w: refund: %w", ErrBadChange, err)
	}
	return r, nil
}
