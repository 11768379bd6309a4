package order

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Payment is one event of the payment provider: money came for an order.
type Payment struct {
	EventID     string // the provider's, 1-128 printable ASCII bytes; the same event again is the same payment
	OrderID     ID
	AmountMinor int64 // in the currency's minor unit
	Currency    string
}

// Outcome is what became of a payment, for good.
type Outcome string

// The outcomes. A refund is required for money that came for an order which
// cannot take it any more: cancelled, rejected, or paid by another event.
const (
	OutcomePaid           Outcome = "paid"
	OutcomeRefundRequired Outcome = "refund_required"
)

// Receipt answers a payment.
type Receipt struct {
	Outcome Outcome
	// Verdict is the order's; its Seq is set by the call that paid it.
	Verdict Verdict
}

// ErrAmount is the error of a payment of another amount or currency than the
// order's. It pays nothing and is not kept.
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
	if r.Status == StatusRejected || p.AmountMinor == r.UnitPrice*int64(r.Quantity) && p.Currency == sale.Currency {
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

// Expiry is what one look for unpaid orders of a sale came to.
type Expiry struct {
	Verdicts []Verdict     // the orders that it cancelled, each with its Seq
	Seq      uint64        // to go on from: no order confirmed up to here is unpaid
	Wait     time.Duration // until the next order is due; 0 when there may be more now
}

// The size of a look for unpaid orders.
const (
	maxExpired    = 256  // orders cancelled in one transaction
	ExpiryFirst   = 8    // changes read at first
	ExpiryChanges = 256  // changes read at most
	ExpiryOrders  = 1024 // orders looked at; more only where one change has more
)

// ExpiryPage returns the changes of cs, from the front, that one look takes,
// and the orders that they confirmed.
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

// PlanExpiry plans a look at a page. left tells how much longer each order that
// is unpaid may be so; one that it does not hold is not unpaid. The Expiry is
// without Verdicts; due are the orders to cancel, by ID.
func PlanExpiry(after uint64, page []Change, left map[ID]time.Duration) (e Expiry, due []ID) {
	e.Seq = after
	through, more := true, false // nothing is left so far; something due is left
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

// NothingToExpire is the Expiry of a sale without further changes: an order that
// is confirmed from now on has all its time to pay.
func NothingToExpire(after uint64, payWithin time.Duration) Expiry {
	return Expiry{Seq: after, Wait: max(payWithin, time.Second)}
}

// LeastToPay is how long any order of s may be unpaid, whatever its row says:
// until an extension has come to the rows, all of PayWithin.
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
