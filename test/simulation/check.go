package simulation

import (
	"context"
	"fmt"
	"time"

	"seckill/audit"
	"seckill/order"
	"seckill/test/promise"
)

// heal waits until every promise holds, asks all shoppers once more, and
// audits. It returns what does not hold in time.
func (w *system) heal() (breaches []string, took time.Duration) {
	begin := time.Now()
	if found := w.await(begin.Add(healWithin)); found != nil {
		return found, time.Since(begin)
	}
	took = time.Since(begin)
	// Local copies are refreshed, dead processes start again, breakers close, and
	// messages that were held back arrive: none of it may change anything.
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

// await checks until everything holds or the time is over.
func (w *system) await(until time.Time) []string {
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

func (c *crowd) of(id string) seenOrder {
	c.mu.Lock()
	defer c.mu.Unlock()
	return *c.seen[id]
}

func (c *crowd) wrong() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.broken) > 0
}

// askAgain polls every order and sends some purchases once more: the answers must be
// the same, and both instances must respond.
func (c *crowd) askAgain() {
	for i, id := range c.ids() {
		c.poll(c.of(id).ShopperID, id, i, false)
	}
	for i, v := range c.w.plan.visitors[:6] {
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

// breaches compares the stores with each other and with the shoppers' answers.
func (w *system) breaches() []string {
	w.crowd.mu.Lock()
	found := append([]string(nil), w.crowd.broken...)
	w.crowd.mu.Unlock()
	note := func(_, format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	ctx := context.Background()
	if n := w.broker.waiting(ctx); n > 0 {
		note("lost", "%d messages are not acknowledged", n)
	}
	w.crowd.checkAnswers(ctx, w, note)
	for _, id := range sales {
		if err := w.checkSale(ctx, id, note); err != nil {
			note("lost", "sale %d: %v", id, err)
		}
	}
	return found
}

// checkAnswers checks that each order has the one verdict that was answered.
func (c *crowd) checkAnswers(ctx context.Context, w *system, note promise.Note) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, public := range c.public {
		t := c.seen[public]
		if t.final == "" {
			continue // undecided counts it
		}
		status, ok := verdictOf(ctx, w, t.Order)
		short := w.plan.sales[t.SaleID-sales[0]].payWithin < time.Minute
		switch {
		case !ok:
			note("lost", "order %d was answered %s and has no verdict", t.ID, t.final)
		case string(status) == t.final:
		case t.final == "confirmed" && status == order.StatusCancelled && (t.cancelled || short):
		case t.final == "confirmed" && status == order.StatusPaid && t.paying:
		default:
			note("lost", "order %d was answered %s and is %s", t.ID, t.final, status)
		}
		if t.paid == "paid" && status != order.StatusPaid || t.paid == "refund_required" && status == order.StatusPaid {
			note("lost", "the provider got the answer %s for order %d, which is %s", t.paid, t.ID, status)
		}
	}
	for _, o := range c.expected {
		if _, ok := verdictOf(ctx, w, o); !ok {
			note("lost", "order %d of %s was in the queue and has no verdict", o.ID, o.ShopperID)
		}
	}
	for _, o := range c.unwanted {
		if status, ok := verdictOf(ctx, w, o); ok {
			note("leaked", "order %d of %s, which no API has signed, is %s", o.ID, o.ShopperID, status)
		}
	}
}

func verdictOf(ctx context.Context, w *system, o order.Order) (order.Status, bool) {
	vs, _, err := w.store.Verdicts(ctx, []order.Order{o})
	if err != nil || len(vs) != 1 {
		return "", false
	}
	return vs[0].Status, true
}

// checkSale checks the units, the limits, Redis and the events of a sale.
func (w *system) checkSale(ctx context.Context, id int64, note promise.Note) error {
	sale, rows, err := promise.Rows(ctx, w.store, id)
	if err != nil {
		return err
	}
	rows.Units(sale, note)
	rows.Limits(sale, note)
	if err := rows.Redis(ctx, w.ledger, sale, note); err != nil {
		return err
	}
	if err := promise.Returns(ctx, w.store, w.ledger, sale, note); err != nil {
		return err
	}
	w.topic.mu.Lock() // not while Redis is asked: see script
	defer w.topic.mu.Unlock()
	for _, wrong := range w.topic.wrong {
		note("lost", "%s", wrong)
	}
	return rows.Events(ctx, w.store, w.topic.reader, sale, note)
}

// audit runs the program's own audit.
func (w *system) audit() (found []string) {
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
