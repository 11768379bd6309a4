package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"seckill/order"
)

// Settle is order.Store's.
func (s *Store) Settle(ctx context.Context, batch []order.Order) ([]order.Verdict, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	orders := slices.SortedStableFunc(slices.Values(batch), byIdentity)
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &deciding{store: s}
	t.settle(slices.CompactFunc(orders, order.Same))
	return t.verdicts(), nil
}

// Void is order.Store's.
func (s *Store) Void(ctx context.Context, o order.Order) (order.Verdict, error) {
	if err := ctx.Err(); err != nil {
		return order.Verdict{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &deciding{store: s}
	if t.absent(o) {
		t.add(fence(o, order.ReasonVoid))
	}
	t.closeSales()
	return t.verdicts()[0], nil
}

func byIdentity(a, b order.Order) int {
	return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.SaleID, b.SaleID), cmp.Compare(a.ShopperID, b.ShopperID))
}

// deciding is one transaction; nothing in it can fail.
type deciding struct {
	store   *Store
	earlier []order.Verdict
	fresh   []*order.Verdict
}

func (t *deciding) settle(orders []order.Order) {
	orders = t.housed(orders)
	var moved []order.Order
	for _, o := range orders {
		sale, ok := t.store.sales[o.SaleID]
		switch {
		case !t.absent(o):
		case len(o.ShopperID) > 64: // no row can hold it, nor a letter all of it
			v := fence(o, order.ReasonPoison)
			t.store.bury(order.DeadLetter{OrderID: o.ID, SaleID: o.SaleID, ShopperID: o.ShopperID, Reason: string(v.Reason)})
			t.earlier = append(t.earlier, v)
		case !ok || o.Quantity < 1 || o.Quantity > sale.UnitsPerOrder || !order.ValidReference(o.Reference):
			t.add(fence(o, order.ReasonPoison))
		case t.slotFree(o, o.Slot):
			t.add(order.Verdict{Order: o, Status: order.StatusConfirmed})
		default:
			moved = append(moved, o)
		}
	}
	for _, o := range moved {
		if t.absent(o) { // not so for a second order of this batch under one ID
			t.add(t.place(o))
		}
	}
	t.closeSales()
}

// housed gives each order whose slot does not exist the lowest that was free
// before this batch, as the SQL does before it inserts. Those that find none keep
// theirs and are placed in the end.
func (t *deciding) housed(orders []order.Order) []order.Order {
	orders = slices.Clone(orders)
	chosen := make(map[shopper][]order.Order)
	for i, o := range orders {
		who := shopper{o.SaleID, o.ShopperID}
		sale, ok := t.store.sales[o.SaleID]
		if !ok || o.Slot >= 0 && o.Slot < sale.OrdersPerShopper {
			continue
		}
		for slot := range sale.OrdersPerShopper {
			taken := func(held order.Order) bool { return held.Slot == slot || held.Key == o.Key }
			if t.slotFree(o, slot) && t.keyFree(o) && !slices.ContainsFunc(chosen[who], taken) {
				orders[i].Slot = slot
				chosen[who] = append(chosen[who], orders[i])
				break
			}
		}
	}
	return orders
}

// absent reports whether nothing is known of o, and else notes its verdict.
func (t *deciding) absent(o order.Order) bool {
	r, ok := t.store.orders[o.ID]
	switch {
	case !ok:
		return true
	case order.Same(r.Order, o):
		t.earlier = append(t.earlier, r.Verdict())
	default:
		v := order.Verdict{Order: o, Status: order.StatusRejected, Reason: order.ReasonCollision}
		if t.store.bury(order.DeadLetter{OrderID: o.ID, SaleID: o.SaleID, ShopperID: o.ShopperID, Reason: string(v.Reason)}) {
			t.fresh = append(t.fresh, &v)
		} else {
			t.earlier = append(t.earlier, v)
		}
	}
	return false
}

func fence(o order.Order, reason order.Reason) order.Verdict {
	o.Slot, o.Quantity = 0, 0
	if !order.ValidReference(o.Reference) {
		o.Reference = ""
	}
	return order.Verdict{Order: o, Status: order.StatusRejected, Reason: reason}
}

// live returns the shopper's live orders in the sale of o, but not o itself.
func (t *deciding) live(o order.Order) []*order.Record {
	var live []*order.Record
	for _, r := range t.store.shoppers[shopper{o.SaleID, o.ShopperID}] {
		if r.Status.Live() && r.ID != o.ID {
			live = append(live, r)
		}
	}
	return live
}

func (t *deciding) slotFree(o order.Order, slot int) bool {
	return slot >= 0 && slot < t.store.sales[o.SaleID].OrdersPerShopper &&
		!slices.ContainsFunc(t.live(o), func(r *order.Record) bool { return r.Slot == slot })
}

func (t *deciding) keyFree(o order.Order) bool {
	return !slices.ContainsFunc(t.live(o), func(r *order.Record) bool { return r.Key == o.Key })
}

// place gives o the lowest free slot, or rejects it.
func (t *deciding) place(o order.Order) order.Verdict {
	for slot := range order.MaxSlots {
		if t.keyFree(o) && t.slotFree(o, slot) {
			o.Slot = slot
			return order.Verdict{Order: o, Status: order.StatusConfirmed}
		}
	}
	o.Slot = 0
	return order.Verdict{Order: o, Status: order.StatusRejected, Reason: order.ReasonPurchaseLimit}
}

// add makes the row of a verdict.
func (t *deciding) add(v order.Verdict) {
	r := &order.Record{Order: v.Order, Status: v.Status, Reason: v.Reason, DecidedAt: now()}
	if sale, ok := t.store.sales[v.SaleID]; ok {
		r.UnitPrice = sale.PriceMinor
		if v.Status.Live() {
			r.PayBy = r.DecidedAt.Add(sale.PayWithin)
		}
	}
	t.store.orders[v.ID] = r
	key := shopper{v.SaleID, v.ShopperID}
	t.store.shoppers[key] = append(t.store.shoppers[key], r)
	t.fresh = append(t.fresh, &v)
}

// reject turns a new row into a rejection.
func (t *deciding) reject(v *order.Verdict, reason order.Reason) {
	v.Status, v.Reason = order.StatusRejected, reason
	r := t.store.orders[v.ID]
	r.Status, r.Reason, r.PayBy = v.Status, v.Reason, time.Time{}
}

// closeSales deducts what fits, in ID order, and logs the changes.
func (t *deciding) closeSales() {
	slices.SortFunc(t.fresh, func(a, b *order.Verdict) int { return byIdentity(a.Order, b.Order) })
	groups := make(map[int64][]*order.Verdict)
	for _, v := range t.fresh {
		groups[v.SaleID] = append(groups[v.SaleID], v)
	}
	for _, id := range slices.Sorted(maps.Keys(groups)) {
		sale, ok := t.store.sales[id]
		if !ok {
			continue
		}
		change := order.Change{SaleID: id}
		sale.Seq++
		for _, v := range groups[id] {
			switch {
			case v.Status != order.StatusConfirmed:
			case !t.firstOfKey(*v):
				t.reject(v, order.ReasonPurchaseLimit)
			case v.Quantity > sale.Available:
				t.reject(v, order.ReasonSoldOut)
			default:
				sale.Available -= v.Quantity
			}
			v.Seq = sale.Seq
			change.Verdicts = append(change.Verdicts, *v)
		}
		t.store.log(change)
	}
}

// firstOfKey reports whether no other live order of the shopper has the key of
// v; of several new ones the oldest is the first.
func (t *deciding) firstOfKey(v order.Verdict) bool {
	return !slices.ContainsFunc(t.live(v.Order), func(r *order.Record) bool {
		return r.Key == v.Key && (!t.isFresh(r.ID) || r.ID < v.ID)
	})
}

func (t *deciding) isFresh(id order.ID) bool {
	return slices.ContainsFunc(t.fresh, func(v *order.Verdict) bool {
		return v.ID == id && v.Reason != order.ReasonCollision
	})
}

func (t *deciding) verdicts() []order.Verdict {
	all := t.earlier
	for _, v := range t.fresh {
		all = append(all, *v)
	}
	slices.SortFunc(all, func(a, b order.Verdict) int { return byIdentity(a.Order, b.Order) })
	return all
}
