package order

import (
	"fmt"
	"slices"
	"time"
)

// Event tells other systems what one change did to one order. Everything in it is
// fixed once the change is committed, except the SKU, which operators may correct.
type Event struct {
	Verdict // Seq is the change's; Slot and Key are not published

	At        time.Time // when the change was made, by the database's clock
	UnitPrice int64     // in the currency's minor unit
	Currency  string
	SKU       string
	Refund    *Refund // a payment of the order that is to be refunded; nil for a verdict
}

// EventCursor is how far the events of a sale are published.
type EventCursor struct {
	SaleID int64
	Seq    uint64        // of the last change whose events are all published
	Last   uint64        // of the sale's last change
	Age    time.Duration // of the first change whose events are not
	Holder string        // the process that publishes them now; empty for none
}

// Behind returns how many changes have unpublished events.
func (c EventCursor) Behind() uint64 { return c.Last - min(c.Seq, c.Last) }

// TimedChange is a change and the time of its transaction.
type TimedChange struct {
	Change

	At time.Time
}

// EventChanges is how many changes are read for a page of events, at most.
const EventChanges = 64

// EventPage returns the first changes of cs that have at most so many orders
// together, and at least one change.
func EventPage(cs []TimedChange, orders int) []TimedChange {
	for i, c := range cs {
		if orders -= len(c.Verdicts); orders < 0 {
			return cs[:max(1, i)]
		}
	}
	return cs
}

// Events returns the events of changes, in their order; rows are the rows of their
// orders. A collision has no event: its order ID is another order's, and a dead
// letter informs the operators.
func Events(cs []TimedChange, sale Sale, rows map[ID]Record) []Event {
	var es []Event
	add := func(c TimedChange, v Verdict) {
		e := Event{Verdict: v, At: c.At, UnitPrice: sale.PriceMinor, Currency: sale.Currency, SKU: sale.SKU, Refund: c.Refund}
		if r, ok := rows[v.ID]; ok {
			e.Reference, e.UnitPrice = r.Reference, r.UnitPrice
		}
		es = append(es, e)
	}
	for _, c := range cs {
		for _, v := range c.Verdicts {
			if v.Reason != ReasonCollision {
				add(c, v)
			}
		}
		if c.Refund != nil {
			add(c, c.Refund.verdict(c.SaleID, c.Seq))
		}
	}
	return es
}

// IDsOf returns the orders of changes, each once, sorted.
func IDsOf(cs []TimedChange) []ID {
	var ids []ID
	for _, c := range cs {
		for _, v := range c.Verdicts {
			ids = append(ids, v.ID)
		}
		if c.Refund != nil {
			ids = append(ids, c.Refund.OrderID)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// Gapless returns an error unless cs directly follow a change: the events of a
// missing change would never be published.
func Gapless(saleID int64, after uint64, cs []TimedChange) error {
	for _, c := range cs {
		if after++; c.Seq != after {
			return fmt.Errorf("order: change %d of sale %d is missing in the log and its events are not published", after, saleID)
		}
	}
	return nil
}
