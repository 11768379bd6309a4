//go:build e2e

package test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"seckill/order"
)

// duplicates sends the messages of orders that Redis knows ten times more.
func duplicates(rng *rand.Rand) fault {
	return fault{what: "duplicates", begin: func(a *testbed) error {
		c := a.crowds[rng.IntN(len(a.crowds))]
		sale, _ := strconv.ParseInt(c.sale, 10, 64)
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		es, _, err := a.ledger.Scan(ctx, sale, 0, 40)
		if err != nil {
			return nil // Redis may be down just now
		}
		for range 10 {
			for _, e := range es[:min(len(es), 40)] {
				e.Slot = max(e.Slot, 0)
				_ = a.outside.Publish(ctx, e.Order)
			}
		}
		return nil
	}}
}

// strangers puts orders into the queue that Redis does not know, as if it had
// lost them: of shoppers who come as well, and two under one ID.
func strangers(rng *rand.Rand) fault {
	slot := rng.IntN(2)
	return fault{what: "strangers", begin: func(a *testbed) error {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		for _, c := range a.crowds {
			sale, _ := strconv.ParseInt(c.sale, 10, 64)
			for i := range 30 {
				id, err := a.ids.Next()
				if err != nil {
					return err
				}
				o := order.Order{ID: id, SaleID: sale, ShopperID: strconv.Itoa(1 + i*len(c.tokens)/30), Quantity: 1, Slot: slot % c.perShopper}
				stored := a.outside.Publish(ctx, o) == nil
				c.hmu.Lock()
				if stored {
					c.unseen[id] = true
				}
				c.hmu.Unlock()
				if stored && i%10 == 0 {
					o.ShopperID = "double-" + o.ShopperID
					if a.outside.Publish(ctx, o) == nil {
						c.hmu.Lock()
						c.doubles[id] = true
						c.hmu.Unlock()
					}
				}
			}
		}
		return nil
	}}
}

// poisonMessages are bytes that are no order, orders that no sale allows, and orders of
// a sale that no API has signed.
func poisonMessages(*rand.Rand) fault {
	return fault{what: "poison", begin: func(a *testbed) error {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		c := a.crowds[0]
		sale, _ := strconv.ParseInt(c.sale, 10, 64)
		for i := range 10 {
			_ = a.outside.Inject(ctx, "poison-"+strconv.Itoa(i), []byte(strings.Repeat("\x00\xff{", i*50)))
			if err := a.forge(ctx, c, sale, i); err != nil {
				return err
			}
			for k, o := range []order.Order{
				{SaleID: sale, ShopperID: "poison", Quantity: 1000},
				{SaleID: 1, ShopperID: "poison", Quantity: 1},
				{SaleID: sale, ShopperID: "poison-" + strconv.Itoa(i), Quantity: 1, Slot: 15},
			} {
				var err error
				if o.ID, err = a.ids.Next(); err != nil {
					return err
				}
				if a.outside.Publish(ctx, o) == nil && k != 1 {
					c.hmu.Lock()
					c.unseen[o.ID] = true
					c.hmu.Unlock()
				}
			}
		}
		return nil
	}}
}

// forge puts well-formed orders of a sale into the queue: without a MAC, with one of
// zeros, and one that claims a newer version.
func (a *testbed) forge(ctx context.Context, c *trackedCrowd, sale int64, n int) error {
	for k := range 3 {
		id, err := a.ids.Next()
		if err != nil {
			return err
		}
		body := order.AppendMessage(nil, order.Order{ID: id, SaleID: sale, ShopperID: "forger-" + strconv.Itoa(n), Quantity: 1, Slot: k % c.perShopper})
		switch k {
		case 1:
			body = append(body, make([]byte, 16)...)
		case 2:
			body = append([]byte{2}, body[1:]...)
		}
		c.hmu.Lock()
		c.forged[id] = true
		c.hmu.Unlock()
		_ = a.outside.Inject(ctx, id.String(), body)
	}
	return nil
}
