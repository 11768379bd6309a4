package promise

import (
	"context"
	"fmt"

	"seckill/event"
	"seckill/order"
)

// Reader is an honest reader of the order events: of each order it keeps the
// event with the highest sequence.
type Reader struct {
	Last   map[string]event.Event // by order ID
	Bodies map[string]string      // by event ID
}

// NewReader returns a Reader that has read nothing.
func NewReader() Reader { return Reader{Last: map[string]event.Event{}, Bodies: map[string]string{}} }

// Read reads an event. The error is what is wrong with the message; again is
// true if it came before.
func (r Reader) Read(id string, body []byte) (ev event.Event, again bool, err error) {
	ev, err = event.Parse(body)
	before, again := r.Bodies[id]
	switch {
	case err != nil:
		return ev, again, err
	case ev.ID != id:
		err = fmt.Errorf("its ID is %s", ev.ID)
	case again && before != string(body):
		err = fmt.Errorf("it was %s", before)
	}
	r.Bodies[id] = string(body)
	if ev.Data.Sequence > r.Last[ev.Subject].Data.Sequence {
		r.Last[ev.Subject] = ev
	}
	return ev, again, err
}

// Events checks that r knows each order of a sale as it is, and read an event of
// each verdict and change.
func (rows Orders) Events(ctx context.Context, store Store, r Reader, sale order.Sale, note Note) error {
	known := map[string]bool{}
	for id, row := range rows {
		known[id.String()] = true
		is, read := told(event.Data{
			ShopperID: row.ShopperID, Status: row.Status, Reason: row.Reason, Quantity: row.Quantity,
			AmountMinor: row.UnitPrice * int64(row.Quantity), Reference: row.Reference,
		}), told(r.Last[id.String()].Data)
		if is != read {
			note("lost", "order %d is %s; its events say %s", id, is, read)
		}
	}
	for id, ev := range r.Last {
		if ev.Data.SaleID == order.ID(sale.ID).String() && !known[id] {
			note("lost", "the events tell of order %s, which has no row", id)
		}
	}
	cs, err := store.Changes(ctx, sale.ID, 0, 1<<20)
	if err != nil {
		return err
	}
	due := map[string]bool{}
	for _, c := range cs {
		for _, v := range c.Verdicts { // a change may decide two orders of one ID: the second is a collision
			id := fmt.Sprintf("%d-%d-%d", sale.ID, c.Seq, v.ID)
			due[id] = due[id] || v.Reason != order.ReasonCollision
		}
		if c.Refund != nil {
			due[fmt.Sprintf("%d-%d-%d", sale.ID, c.Seq, c.Refund.OrderID)] = true
		}
	}
	for id, is := range due {
		if _, came := r.Bodies[id]; came != is {
			note("lost", "event %s: due %t, came %t", id, is, came)
		}
	}
	return nil
}

// told is what a row and an event both say of an order.
func told(d event.Data) string {
	return fmt.Sprintf("%s %s of %s (%d units, %d minor, %q)", d.Status, d.Reason, d.ShopperID, d.Quantity, d.AmountMinor, d.Reference)
}
