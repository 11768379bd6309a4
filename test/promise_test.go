//go:build e2e

package test

import (
	"cmp"
	"context"
	"fmt"
	"strconv"

	"seckill/order"
	"seckill/stock"
)

// breach is a broken promise: lost, oversold, duplicate, leaked or audit.
type breach struct{ kind, what string }

// row is what MySQL says of an order.
type row struct {
	id       order.ID
	shopper  string
	slot     int
	live     bool
	quantity int64
	status   string
	key      uint64
}

// breaches holds the stores against each other and against what shoppers were
// told: the invariants (1), (2) and (4) to (7) of the fault suite. (3) is in
// the answers, (8) is the program's own audit.
func (c *counter) breaches(ctx context.Context, ledger *stock.Ledger) ([]breach, error) {
	rows, err := c.rows(ctx)
	if err != nil {
		return nil, err
	}
	c.hmu.Lock()
	found := append([]breach(nil), c.broken...)
	c.hmu.Unlock()
	note := func(kind, format string, args ...any) {
		found = append(found, breach{kind, "sale " + c.sale + ": " + fmt.Sprintf(format, args...)})
	}
	live, err := c.unitsOf(ctx, rows, note)
	if err != nil {
		return nil, err
	}
	c.ordersOf(rows, note)
	if err := c.strangersOf(ctx, rows, note); err != nil {
		return nil, err
	}
	c.limitsOf(rows, note)
	return found, c.redisOf(ctx, ledger, rows, live, note)
}

type noteFunc func(kind, format string, args ...any)

func (c *counter) rows(ctx context.Context) (map[order.ID]row, error) {
	rs, err := c.shop.db.QueryContext(ctx, `SELECT id, shopper_id, slot, live IS NOT NULL, quantity, status, idem_key FROM orders WHERE sale_id = ?`, c.sale)
	if err != nil {
		return nil, err
	}
	defer rs.Close()
	rows := map[order.ID]row{}
	for rs.Next() {
		var r row
		if err := rs.Scan(&r.id, &r.shopper, &r.slot, &r.live, &r.quantity, &r.status, &r.key); err != nil {
			return nil, err
		}
		rows[r.id] = r
	}
	return rows, rs.Err()
}

// unitsOf checks that MySQL has sold no more than there was and keeps nothing
// back, and returns the live units.
func (c *counter) unitsOf(ctx context.Context, rows map[order.ID]row, note noteFunc) (live int64, err error) {
	var total, available int64
	if err := c.shop.db.QueryRowContext(ctx, `SELECT total, available FROM sales WHERE id = ?`, c.sale).Scan(&total, &available); err != nil {
		return 0, err
	}
	for _, r := range rows {
		if r.live {
			live += r.quantity
		}
	}
	if live > total || live > int64(c.stock) {
		note("oversold", "%d live units of %d", live, c.stock)
	}
	if available+live != total {
		note("leaked", "mysql: available %d + live %d is not %d", available, live, total)
	}
	return live, nil
}

// ordersOf checks that each 202 has one verdict, the one that was told.
func (c *counter) ordersOf(rows map[order.ID]row, note noteFunc) {
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
			note("lost", "order %d was told %s and has no row", id, told)
		case r.shopper != strconv.Itoa(shopper+1):
			note("lost", "order %d of shopper %d is a row of %s", id, shopper+1, r.shopper)
		case r.status == "cancelled" && told == "confirmed" && c.takenBack[public]: // its answer was lost
		case r.status != told:
			note("lost", "order %d was told %s and is %s", id, told, r.status)
		}
	}
}

// strangersOf checks that what was only ever in the queue has a verdict too.
func (c *counter) strangersOf(ctx context.Context, rows map[order.ID]row, note noteFunc) error {
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
	for id := range c.doubles {
		if !collided[id] {
			note("lost", "the second order under ID %d has no verdict", id)
		}
	}
	return rs.Err()
}

// limitsOf checks the purchase limit, and that no key bought twice.
func (c *counter) limitsOf(rows map[order.ID]row, note noteFunc) {
	orders, keys, slots := map[string]int{}, map[string]int{}, map[string]int{}
	for _, r := range rows {
		if !r.live {
			continue
		}
		orders[r.shopper]++
		keys[fmt.Sprintf("%s/%x", r.shopper, r.key)]++
		slots[fmt.Sprintf("%s/%d", r.shopper, r.slot)]++
	}
	for shopper, n := range orders {
		if n > c.perShopper {
			note("duplicate", "shopper %s has %d live orders", shopper, n)
		}
	}
	for what, n := range keys {
		if n > 1 {
			note("duplicate", "key %s has bought %d times", what, n)
		}
	}
	for what, n := range slots {
		if n > 1 {
			note("duplicate", "slot %s is held %d times", what, n)
		}
	}
}

// redisOf checks that Redis has the same live orders as MySQL, in the same
// slots, and counts them.
func (c *counter) redisOf(ctx context.Context, ledger *stock.Ledger, rows map[order.ID]row, live int64, note noteFunc) error {
	sale, err := strconv.ParseInt(c.sale, 10, 64)
	if err != nil {
		return err
	}
	ms, err := ledger.Metas(ctx, []int64{sale})
	if err != nil {
		return err
	}
	if m := ms[0]; !m.Loaded {
		note("leaked", "redis: not loaded")
	} else if m.Pending != 0 || m.Settled != live || m.Available != int64(c.stock)-live || m.Total != int64(c.stock) {
		note("leaked", "redis: available %d, pending %d, settled %d of %d; mysql: %d live", m.Available, m.Pending, m.Settled, m.Total, live)
	}
	held := map[order.ID]stock.Entry{}
	for cursor := uint64(0); ; {
		page, next, err := ledger.Scan(ctx, sale, cursor, 500)
		if err != nil {
			return err
		}
		for _, e := range page {
			held[e.ID] = e
		}
		if cursor = next; next == 0 {
			break
		}
	}
	for id, e := range held {
		if r := rows[id]; e.State.Live() && (!r.live || e.State != stock.EntrySettled || e.Slot != r.slot || int64(e.Quantity) != r.quantity) {
			note("leaked", "order %d: redis has %c in slot %d, mysql %q in slot %d", id, byte(e.State), e.Slot, cmp.Or(r.status, "nothing"), r.slot)
		}
	}
	for id, r := range rows {
		if e, ok := held[id]; r.live && (!ok || !e.State.Live()) {
			note("leaked", "order %d is %s and redis does not hold it", id, r.status)
		}
	}
	return nil
}
