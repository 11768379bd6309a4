package memory

import (
	"context"
	"slices"
	"time"

	"seckill/order"
)

// Settle is as in order/mysql.
func (s *Store) Settle(ctx context.Context, batch []order.Order) ([]order.Verdict, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &settling{store: s}
	t.run(order.Distinct(batch))
	return order.Settled(t.earlier, t.fresh), nil
}

// Void is as in order/mysql.
func (s *Store) Void(ctx context.Context, o order.Order) (order.Verdict, error) {
	if err := ctx.Err(); err != nil {
		return order.Verdict{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &settling{store: s}
	t.insert(order.Tombstone(o, order.ReasonVoid))
	t.closeSales()
	return order.Settled(t.earlier, t.fresh)[0], nil
}

// settling is one transaction; nothing in it can fail.
type settling struct {
	store   *Store
	earlier []order.Verdict
	fresh   []*order.Verdict
}

// run first rejects what MySQL's columns would refuse.
func (t *settling) run(orders []order.Order) {
	var vs, misplaced []*order.Verdict
	for _, o := range orders {
		sale := t.store.sales[o.SaleID]
		v := order.Draft(o, sale)
		if !order.ValidReference(o.Reference) {
			v = order.Tombstone(o, order.ReasonPoison)
			v.Reference = ""
		}
		if len(o.ShopperID) > order.MaxShopperID {
			v = order.Tombstone(o, order.ReasonPoison)
			t.store.addDeadLetter(order.VerdictDeadLetter(*v, "", order.AppendMessage(nil, o)))
			t.earlier = append(t.earlier, *v)
			continue
		}
		if vs = append(vs, v); v.Status == order.StatusConfirmed && !sale.HasSlot(v.Slot) {
			misplaced = append(misplaced, v)
		}
	}
	t.assignSlots(misplaced)
	var moved []*order.Verdict
	for _, v := range vs {
		if !t.insert(v) {
			moved = append(moved, v)
		}
	}
	t.assignSlots(moved)
	for _, v := range moved {
		t.insert(v)
	}
	t.closeSales()
}

func (t *settling) assignSlots(vs []*order.Verdict) {
	for saleID, vs := range order.BySale(vs) {
		t.store.sales[saleID].AssignSlots(vs, t.liveOrders(saleID, vs))
	}
}

// liveOrders returns the live orders of the shoppers of vs in a sale, by shopper.
func (t *settling) liveOrders(saleID int64, vs []*order.Verdict) map[string][]order.Order {
	held := make(map[string][]order.Order)
	for _, v := range vs {
		if held[v.ShopperID] != nil {
			continue
		}
		for _, r := range t.store.shoppers[shopper{saleID, v.ShopperID}] {
			if r.Status.Live() {
				held[v.ShopperID] = append(held[v.ShopperID], r.Order)
			}
		}
	}
	return held
}

// returnedBy returns how many orders of a sale the shoppers of vs have returned.
func (t *settling) returnedBy(saleID int64, vs []*order.Verdict) map[string]int {
	returned := make(map[string]int)
	for _, v := range vs {
		returned[v.ShopperID] = t.store.returns[shopper{saleID, v.ShopperID}].Orders
	}
	return returned
}

// insert adds the row of v, unless its order has a verdict; false if its slot is taken.
func (t *settling) insert(v *order.Verdict) bool {
	if r, ok := t.store.orders[v.ID]; ok {
		old := order.Existing(v.Order, *r)
		if old.Reason == order.ReasonCollision && t.store.addDeadLetter(order.VerdictDeadLetter(old, "", nil)) {
			t.fresh = append(t.fresh, &old)
		} else {
			t.earlier = append(t.earlier, old)
		}
		return true
	}
	key := shopper{v.SaleID, v.ShopperID}
	if v.Status.Live() && slices.ContainsFunc(t.store.shoppers[key], func(r *order.Record) bool { return r.Status.Live() && r.Slot == v.Slot }) {
		return false
	}
	r := &order.Record{Order: v.Order, Status: v.Status, Reason: v.Reason, DecidedAt: now()}
	if sale, ok := t.store.sales[v.SaleID]; ok {
		r.UnitPrice = sale.PriceMinor
		if v.Status.Live() {
			r.PayBy = r.DecidedAt.Add(sale.PayWithin)
		}
	}
	t.store.orders[v.ID] = r
	t.store.shoppers[key] = append(t.store.shoppers[key], r)
	t.fresh = append(t.fresh, v)
	return true
}

// closeSales deducts what fits, and logs the changes.
func (t *settling) closeSales() {
	for saleID, vs := range order.BySale(t.fresh) {
		sale, ok := t.store.sales[saleID]
		if !ok {
			continue
		}
		t.reject(order.RepeatedKeys(vs, t.liveOrders(saleID, vs)), order.ReasonPurchaseLimit)
		t.reject(order.UsedUp(vs, t.returnedBy(saleID, vs), sale.AttemptsPerShopper), order.ReasonAttemptsUsed)
		t.reject(order.Unsupplied(vs, sale.Available), order.ReasonSoldOut)
		for _, v := range vs {
			if v.Status.Live() {
				sale.Available -= v.Quantity
			}
		}
		t.store.record(sale, vs)
	}
}

// reject turns new rows into rejections.
func (t *settling) reject(vs []*order.Verdict, reason order.Reason) {
	for _, v := range vs {
		v.Status, v.Reason = order.StatusRejected, reason
		r := t.store.orders[v.ID]
		r.Status, r.Reason, r.PayBy = v.Status, v.Reason, time.Time{}
	}
}
