package simulation

import (
	"context"
	"fmt"
	"strconv"

	"seckill/order"
)

// stranger puts an order into the queue that Redis does not know; some are of
// shoppers who also buy.
func (w *system) stranger(n, of int) {
	shopper := fmt.Sprintf("stranger-%d-%d", of, n)
	if n%3 == 2 {
		shopper = shopperName(n)
	}
	w.unheard(order.Order{SaleID: sales[n%2], ShopperID: shopper, Quantity: 1})
}

// unheard puts an order that Redis does not know into the queue; it must get a
// verdict.
func (w *system) unheard(o order.Order) {
	id, err := w.ids.Next()
	if err != nil {
		w.failf("%v", err)
		return
	}
	o.ID = id
	w.crowd.expect(o)
	w.trace.notef("system", "message of %d by %s", o.ID, o.ShopperID)
	w.broker.put(context.Background(), o.ID.String(), w.program.Signer.Append(nil, o), 1, 0)
}

// double puts a second order under an ID that was given away into the queue.
func (w *system) double() {
	o, ok := w.crowd.any()
	if !ok {
		return
	}
	o.ShopperID, o.Quantity = "double", 1
	w.crowd.expect(o)
	w.trace.notef("system", "second order under %d", o.ID)
	w.broker.put(context.Background(), o.ID.String(), w.program.Signer.Append(nil, o), 1, 0)
}

// forge puts an order into the queue that no API has signed; it must get no verdict.
func (w *system) forge(n int) {
	id, err := w.ids.Next()
	if err != nil {
		w.failf("%v", err)
		return
	}
	o := order.Order{ID: id, SaleID: sales[n%2], ShopperID: "forger-" + strconv.Itoa(n), Quantity: 1}
	w.crowd.forged(o)
	w.trace.notef("system", "forged message of %d", o.ID)
	w.broker.put(context.Background(), o.ID.String(), order.AppendMessage(nil, o), 1, 0)
}

// poison is what no order is, and what no order may be.
func (w *system) poison(n int) {
	for i := range n {
		w.forge(i)
		switch i % 3 {
		case 0:
			w.broker.put(context.Background(), fmt.Sprint("not-ours-", i), []byte("{"), 1, 0)
		case 1:
			w.unheard(order.Order{SaleID: sales[0], ShopperID: "greedy", Quantity: 99})
		default:
			w.unheard(order.Order{SaleID: 77, ShopperID: "lost", Quantity: 1})
		}
	}
}

// forged notes an order that must get no verdict.
func (c *crowd) forged(o order.Order) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unwanted = append(c.unwanted, o)
}

// expect notes an order that only the queue knows, and that must get a verdict.
func (c *crowd) expect(o order.Order) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expected = append(c.expected, o)
}
