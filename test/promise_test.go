//go:build e2e

package test

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"seckill/order"
	"seckill/stock"
	"seckill/test/promise"
)

// breach is a broken promise: lost, oversold, duplicate, leaked or audit.
type breach struct{ kind, what string }

// breaches compares the stores with each other and with the shoppers' answers: the
// invariants (1), (2) and (4) to (7) of the fault suite. (3) is checked with each
// answer, (8) is the program's own audit.
func (c *trackedCrowd) breaches(ctx context.Context, ledger *stock.Ledger) ([]breach, error) {
	sale, rows, err := promise.Rows(ctx, c.shop.store, saleID(c.shop.t, c.sale))
	if err != nil {
		return nil, err
	}
	c.hmu.Lock()
	found := slices.Clone(c.broken)
	c.hmu.Unlock()
	note := func(kind, format string, args ...any) {
		found = append(found, breach{kind, "sale " + c.sale + ": " + fmt.Sprintf(format, args...)})
	}
	if sale.Total != c.stock {
		note("leaked", "the sale has %d units, not %d", sale.Total, c.stock)
	}
	rows.Units(sale, note)
	c.ordersOf(rows, note)
	if err := c.strangersOf(ctx, rows, note); err != nil {
		return nil, err
	}
	rows.Limits(sale, note)
	err = rows.Redis(ctx, ledger, sale, note)
	return found, err
}

// ordersOf checks that each 202 has one verdict, the one that was answered.
func (c *trackedCrowd) ordersOf(rows promise.Orders, note promise.Note) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hmu.Lock()
	defer c.hmu.Unlock()
	for public, shopper := range c.accepted {
		id := plainID(public)
		r, ok := rows[id]
		told := c.final[public]
		switch {
		case told == "":
			note("lost", "order %d has no final answer", id)
		case !ok:
			note("lost", "order %d was answered %s and has no row", id, told)
		case r.ShopperID != strconv.Itoa(shopper+1):
			note("lost", "order %d of shopper %d is a row of %s", id, shopper+1, r.ShopperID)
		case r.Status == order.StatusCancelled && told == "confirmed" && c.cancelRequested[public]: // its answer was lost
		case string(r.Status) != told:
			note("lost", "order %d was answered %s and is %s", id, told, r.Status)
		}
	}
}

// strangersOf checks that orders that were only in the queue have a verdict too, and
// those that no API has signed none.
func (c *trackedCrowd) strangersOf(ctx context.Context, rows promise.Orders, note promise.Note) error {
	rs, err := c.shop.db.QueryContext(ctx, `SELECT order_id FROM dead_letters WHERE reason = 'collision'`)
	if err != nil {
		return err
	}
	defer rs.Close()
	collided := map[order.ID]bool{}
	for rs.Next() {
		var id order.ID
		if err := rs.Scan(&id); err != nil {
			return err
		}
		collided[id] = true
	}
	c.hmu.Lock()
	defer c.hmu.Unlock()
	for id := range c.unseen {
		if _, ok := rows[id]; !ok {
			note("lost", "order %d was stored by the broker and has no verdict", id)
		}
	}
	for id := range c.forged {
		if r, ok := rows[id]; ok {
			note("leaked", "order %d, which no API has signed, is %s", id, r.Status)
		}
	}
	for id := range c.doubles {
		if !collided[id] {
			note("lost", "the second order under ID %d has no verdict", id)
		}
	}
	return rs.Err()
}
