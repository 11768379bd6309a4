package simulation

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"seckill/audit"
	"seckill/order"
	"seckill/stock"
)

// heal waits until every promise holds, asks all shoppers once more, and
// audits. It returns what does not hold in time.
func (w *world) heal() (breaches []string, took time.Duration) {
	begin := time.Now()
	if found := w.await(begin.Add(healWithin)); found != nil {
		return found, time.Since(begin)
	}
	took = time.Since(begin)
	// The local copies learn it, the dead come back, breakers close, and what was
	// held back comes: nothing of it may change anything.
	time.Sleep(2 * calm)
	for begin := time.Now(); !w.ready() && time.Since(begin) < healWithin; {
		time.Sleep(calm)
	}
	time.Sleep(time.Until(w.broker.complete()))
	w.crowd.askAgain()
	if found := w.await(time.Now().Add(healWithin)); found != nil {
		return found, took
	}
	return w.audit(), took
}

// await looks until all holds or it is too late.
func (w *world) await(until time.Time) []string {
	for {
		left := w.crowd.undecided()
		found := w.breaches()
		if left == 0 && len(found) == 0 {
			return nil
		}
		if w.crowd.wrong() || time.Now().After(until) {
			if left > 0 {
				found = append(found, fmt.Sprintf("%d orders without a final answer", left))
			}
			return found
		}
		time.Sleep(calm)
	}
}

// undecided polls each order that has no final answer, and returns how many
// still have none.
func (c *crowd) undecided() (left int) {
	for i, id := range c.ids() {
		t := c.of(id)
		if t.final == "" && !c.poll(t.ShopperID, id, i, false).Done {
			left++
		}
	}
	return left
}

func (c *crowd) ids() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.public...)
}

func (c *crowd) of(id string) told {
	c.mu.Lock()
	defer c.mu.Unlock()
	return *c.told[id]
}

func (c *crowd) wrong() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.broken) > 0
}

// askAgain polls every order and sends some purchases once more: what was said
// must still be said, and both instances must answer.
func (c *crowd) askAgain() {
	for i, id := range c.ids() {
		c.poll(c.of(id).ShopperID, id, i, false)
	}
	for i, v := range c.w.plan.comers[:6] {
		key := ""
		if v.keys > 0 {
			key = "key-0"
		}
		a, ok := c.purchase(v, key, i, false)
		if ok && a.status < 500 {
			continue
		}
		c.mu.Lock()
		c.breachf("%s is not answered when all is well: %d %s", v.shopper, a.status, a.Code)
		c.mu.Unlock()
	}
}

// breaches holds the stores against each other and against what was told.
func (w *world) breaches() []string {
	w.crowd.mu.Lock()
	found := append([]string(nil), w.crowd.broken...)
	w.crowd.mu.Unlock()
	note := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	ctx := context.Background()
	if n := w.broker.waiting(ctx); n > 0 {
		note("%d messages are not acknowledged", n)
	}
	w.crowd.toldOf(ctx, w, note)
	for i := range sales {
		w.saleOf(ctx, i, note)
		w.eventsOf(ctx, sales[i], note)
	}
	return found
}

type noteFunc func(format string, args ...any)

// toldOf checks that each order has the one verdict that was told.
func (c *crowd) toldOf(ctx context.Context, w *world, note noteFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, public := range c.public {
		t := c.told[public]
		if t.final == "" {
			continue // undecided counts it
		}
		status, ok := verdictOf(ctx, w, t.Order)
		short := w.plan.sales[t.SaleID-sales[0]].payWithin < time.Minute
		switch {
		case !ok:
			note("order %d was told %s and has no verdict", t.ID, t.final)
		case string(status) == t.final:
		case t.final == "confirmed" && status == order.StatusCancelled && (t.cancelled || short):
		case t.final == "confirmed" && status == order.StatusPaid && t.paying:
		default:
			note("order %d was told %s and is %s", t.ID, t.final, status)
		}
		if t.paid == "paid" && status != order.StatusPaid || t.paid == "refund_required" && status == order.StatusPaid {
			note("the provider was told %s of order %d, which is %s", t.paid, t.ID, status)
		}
	}
	for _, o := range c.expected {
		if _, ok := verdictOf(ctx, w, o); !ok {
			note("order %d of %s was in the queue and has no verdict", o.ID, o.ShopperID)
		}
	}
}

func verdictOf(ctx context.Context, w *world, o order.Order) (order.Status, bool) {
	vs, _, err := w.store.Verdicts(ctx, []order.Order{o})
	if err != nil || len(vs) != 1 {
		return "", false
	}
	return vs[0].Status, true
}

// saleOf checks the units, the limits and Redis.
func (w *world) saleOf(ctx context.Context, i int, note noteFunc) {
	id := sales[i]
	live := map[order.ID]order.Record{}
	sale, err := w.store.Snapshot(ctx, id, func(rs []order.Record) error {
		for _, r := range rs {
			live[r.ID] = r
		}
		return nil
	})
	if err != nil {
		note("snapshot: %v", err)
		return
	}
	units := limits(live, w.plan.sales[i], note)
	if units > sale.Total {
		note("sale %d: %d live units of %d: oversold", i, units, sale.Total)
	}
	if sale.Available+units != sale.Total {
		note("sale %d: mysql: available %d + live %d is not %d", i, sale.Available, units, sale.Total)
	}
	ms, err := w.ledger.Metas(ctx, []int64{id})
	if err != nil {
		note("sale %d: %v", i, err)
		return
	}
	m := ms[0]
	if !m.Loaded || m.Applied != sale.Seq || m.State != sale.State || m.Total != int64(sale.Total) ||
		m.Pending != 0 || m.Settled != int64(units) || m.Available != int64(sale.Available) {
		note("sale %d: redis: loaded %t, %s, available %d, pending %d, settled %d of %d at change %d; mysql: %s, available %d, %d live at change %d",
			i, m.Loaded, m.State, m.Available, m.Pending, m.Settled, m.Total, m.Applied, sale.State, sale.Available, units, sale.Seq)
	}
	w.entries(ctx, i, live, note)
}

// limits checks the purchase limit and returns the live units.
func limits(live map[order.ID]order.Record, t terms, note noteFunc) (units int) {
	orders, slots, keys := map[string]int{}, map[string]int{}, map[string]int{}
	for _, r := range live {
		units += r.Quantity
		orders[r.ShopperID]++
		slots[fmt.Sprint(r.ShopperID, "/", r.Slot)]++
		keys[fmt.Sprintf("%s/%x", r.ShopperID, r.Key)]++
	}
	for who, n := range orders {
		if n > t.orders {
			note("%s has %d live orders", who, n)
		}
	}
	for what, n := range slots {
		if n > 1 {
			note("slot %s is held %d times", what, n)
		}
	}
	for what, n := range keys {
		if n > 1 {
			note("key %s has bought %d times", what, n)
		}
	}
	return units
}

// entries checks that Redis holds the live orders, each in its slot, and no other.
func (w *world) entries(ctx context.Context, i int, live map[order.ID]order.Record, note noteFunc) {
	held := map[order.ID]stock.Entry{}
	for cursor, first := uint64(0), true; first || cursor != 0; first = false {
		page, next, err := w.ledger.Scan(ctx, sales[i], cursor, 500)
		if err != nil {
			note("sale %d: %v", i, err)
			return
		}
		for _, e := range page {
			if e.State.Live() {
				held[e.ID] = e
			}
		}
		cursor = next
	}
	for id, e := range held {
		if r, ok := live[id]; !ok || e.State != stock.EntrySettled || e.Slot != r.Slot || e.Quantity != r.Quantity {
			note("order %d: redis has %c in slot %d, mysql %q in slot %d", id, byte(e.State), e.Slot, cmp.Or(r.Status, "nothing live"), r.Slot)
		}
	}
	for id, r := range live {
		if _, ok := held[id]; !ok {
			note("order %d is %s and redis does not hold it", id, r.Status)
		}
	}
}

// audit asks the program's own.
func (w *world) audit() (found []string) {
	audits, err := audit.NewAuditor(w.store, w.ledger, audit.Grace).Audit(context.Background(), 0)
	if err != nil {
		return []string{"audit: " + err.Error()}
	}
	for _, a := range audits {
		for _, d := range a.Discrepancies {
			found = append(found, fmt.Sprintf("audit: %+v", d))
		}
	}
	return found
}

func (c *crowd) accepted() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.public)
}
