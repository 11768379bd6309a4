package order

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Payment is one payment event of the provider.
type Payment struct {
	EventID     string // the provider's, 1-128 printable ASCII bytes; the same event is the same payment
	OrderID     ID
	AmountMinor int64 // in the currency's minor unit
	Currency    string
}

// Outcome is the result of a payment. It never changes, except for a payment of a
// wrong amount that comes again with the right one.
type Outcome string

// The outcomes. A refund is required when the order cannot be paid: see RefundReason.
const (
	OutcomePaid           Outcome = "paid"
	OutcomeRefundRequired Outcome = "refund_required"
)

// Receipt answers a payment.
type Receipt struct {
	Outcome Outcome
	Reason  RefundReason // of OutcomeRefundRequired only
	// Verdict is the order's. Only the call that paid it sets Seq.
	Verdict Verdict
	// RefundSeq is the change of the sale that recorded a payment to be refunded; 0 if
	// there is none, or if another call recorded it.
	RefundSeq uint64
}

// ErrAmount is the error of a payment whose amount or currency is not the order's.
// It pays nothing, and is recorded as one to be refunded unless it comes again with
// the right amount.
var ErrAmount = errors.New("order: wrong amount or currency")

const maxEventSize = 128

// ValidEventID reports whether s is 1-128 printable ASCII bytes, no spaces.
func ValidEventID(s string) bool {
	return s != "" && len(s) <= maxEventSize && printable(s, '!')
}

// Validate checks every field's range. The error is ErrInvalid.
func (p Payment) Validate() error {
	switch {
	case !ValidEventID(p.EventID):
		return fmt.Errorf("%w: event %q", ErrInvalid, p.EventID)
	case p.OrderID <= 0:
		return fmt.Errorf("%w: ID %d", ErrInvalid, p.OrderID)
	case p.AmountMinor < 0:
		return fmt.Errorf("%w: amount %d", ErrInvalid, p.AmountMinor)
	case !currency(p.Currency):
		return fmt.Errorf("%w: currency %q", ErrInvalid, p.Currency)
	}
	return nil
}

// CheckAmount returns ErrAmount unless p is what the order of r costs in the
// currency of its sale, which is nil if there is none. A rejected order costs
// nothing: any payment for it has to be refunded.
func (p Payment) CheckAmount(r Record, sale *Sale) error {
	if r.Status == StatusRejected || sale != nil && p.AmountMinor == r.UnitPrice*int64(r.Quantity) && p.Currency == sale.Currency {
		return nil
	}
	return fmt.Errorf("%w: order %d", ErrAmount, p.OrderID)
}

// Repeats returns ErrConflict unless p is the payment before, which has the same
// event.
func (p Payment) Repeats(before Payment) error {
	if before == p {
		return nil
	}
	return fmt.Errorf("%w: event %s was a payment of order %d", ErrConflict, p.EventID, before.OrderID)
}

// CheckCancelled returns ErrConflict unless the order is cancelled: when it was
// not confirmed, it cannot be.
func (r Record) CheckCancelled() error {
	if r.Status == StatusCancelled {
		return nil
	}
	return fmt.Errorf("%w: order %d is %s", ErrConflict, r.ID, r.Status)
}

// Expiry is the result of one scan for unpaid orders of a sale.
type Expiry struct {
	Verdicts []Verdict     // of the cancelled orders, each with its Seq
	Seq      uint64        // where to continue: no order confirmed up to here is unpaid
	Wait     time.Duration // until the next order is due; 0 when there may be more now
}

// The size of a scan for unpaid orders.
const (
	maxExpired    = 256  // orders cancelled in one transaction
	ExpiryFirst   = 8    // changes read at first
	ExpiryChanges = 256  // changes read at most
	ExpiryOrders  = 1024 // orders scanned; more only if one change has more
)

// ExpiryPage returns the first changes of cs, as many as one scan takes, and the
// orders that they confirmed.
func ExpiryPage(cs []Change) (page []Change, confirmed []ID) {
	for i, c := range cs {
		if len(confirmed) >= ExpiryOrders || i == ExpiryChanges {
			return cs[:i], confirmed
		}
		for _, v := range c.Verdicts {
			if v.Status == StatusConfirmed {
				confirmed = append(confirmed, v.ID)
			}
		}
	}
	return cs, confirmed
}

// PlanExpiry returns which orders of a page are to be cancelled, by ID, and the
// Expiry without its Verdicts. left is the remaining time to pay of each order of
// the page that is unpaid.
func PlanExpiry(after uint64, page []Change, left map[ID]time.Duration) (e Expiry, due []ID) {
	e.Seq = after
	through, more := true, false // no unpaid order so far; more orders are due
	for _, c := range page {
		for _, v := range c.Verdicts {
			wait, unpaid := left[v.ID]
			switch {
			case !unpaid || v.Status != StatusConfirmed:
				continue
			case wait > 0 && (e.Wait == 0 || wait < e.Wait):
				e.Wait = wait
			case wait <= 0 && len(due) == maxExpired:
				more = true
			case wait <= 0:
				due = append(due, v.ID)
				continue
			}
			through = false
		}
		if through {
			e.Seq = c.Seq
		}
	}
	if more {
		e.Wait = 0
	}
	slices.Sort(due)
	return e, due
}

// NothingToExpire is the Expiry of a sale without further changes: orders confirmed
// from now on have all their time to pay.
func NothingToExpire(after uint64, payWithin time.Duration) Expiry {
	return Expiry{Seq: after, Wait: max(payWithin, time.Second)}
}

// LeastToPay is how long every order of s may be unpaid, whatever its row says: the
// whole PayWithin until the extender has brought an extension to all rows.
func (s Sale) LeastToPay() time.Duration {
	if s.Extending {
		return s.PayWithin
	}
	return 0
}

// TimeToPay returns how much longer the order of r may be unpaid.
func (s Sale) TimeToPay(r Record, now time.Time) time.Duration {
	if s.Voided {
		return 0
	}
	return max(r.PayBy.Sub(now), r.DecidedAt.Add(s.LeastToPay()).Sub(now))
}
