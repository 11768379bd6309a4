package order

import (
	"fmt"
	"slices"
	"time"
)

// Event is what one change did to one order, for other systems to be told. All
// of it is fixed once the change is committed, but for the SKU, which operators
// may correct.
type Event struct {
	Verdict // Seq is the change's; Slot and Key are nobody else's business

	At        time.Time // when the change was made, by the database's clock
	UnitPrice int64     // in the currency's minor unit
	Currency  string
	SKU       string
}

// EventCursor is how far the events of a sale have left.
type EventCursor struct {
	SaleID int64
	Seq    uint64        // of the last change whose events have all left
	Last   uint64        // of the sale's last change
	Age    time.Duration // of the first change whose events have not
	Holder string        // the process that sends them at present; empty for none
}

// Behind returns how many changes have events that have not left.
func (c EventCursor) Behind() uint64 { return c.Last - min(c.Seq, c.Last) }

// TimedChange is a change and when it was made.
type TimedChange struct {
	Change

	At time.Time
}

// EventChanges is how many changes are read for a page of events, at most.
const EventChanges = 64

// EventPage returns the changes of cs, from the front, that hold at most so many
// orders together; at least one of them.
func EventPage(cs []TimedChange, orders int) []TimedChange {
	for i, c := range cs {
		if orders -= len(c.Verdicts); orders < 0 {
			return cs[:max(1, i)]
		}
	}
	return cs
}

// Events returns the events of changes in their order; rows are those of their
// orders. A collision makes none: its order ID is another order's, and a dead
// letter tells operators of it.
func Events(cs []TimedChange, sale Sale, rows map[ID]Record) []Event {
	var es []Event
	for _, c := range cs {
		for _, v := range c.Verdicts {
			if v.Reason == ReasonCollision {
				continue
			}
			e := Event{Verdict: v, At: c.At, UnitPrice: sale.PriceMinor, Currency: sale.Currency, SKU: sale.SKU}
			if r, ok := rows[v.ID]; ok {
				e.Reference, e.UnitPrice = r.Reference, r.UnitPrice
			}
			es = append(es, e)
		}
	}
	return es
}

// orderIDs returns the orders of changes, each once, sorted.
func OrderIDs(cs []TimedChange) []ID {
	var ids []ID
	for _, c := range cs {
		for _, v := range c.Verdicts {
			ids = append(ids, v.ID)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// gapless reports an error when the log does not go on right after a change:
// what is missing would be events that nobody ever hears of.
func Gapless(saleID int64, after uint64, cs []TimedChange) error {
	for _, c := range cs {
		if after++; c.Seq != after {
			return fmt.Errorf("order: change %d of sale %d is gone from the log, its events have not left", after, saleID)
		}
	}
	return nil
}
