package order

import (
	"cmp"
	"iter"
	"maps"
	"slices"
)

// CompareIdentity sorts orders by ID, and different orders under one ID by sale
// and shopper.
func CompareIdentity(a, b Order) int {
	return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.SaleID, b.SaleID), cmp.Compare(a.ShopperID, b.ShopperID))
}

// Distinct sorts a batch by ID, so that all transactions lock rows in the same
// order, and drops repeated deliveries, which would be deducted twice. Another
// order under the same ID stays: it is a collision.
func Distinct(batch []Order) []Order {
	return slices.CompactFunc(slices.SortedStableFunc(slices.Values(batch), CompareIdentity), Same)
}

// Draft returns the verdict on o if no other order stands in its way. sale is
// nil if there is none. An order that its sale does not allow is poison: the API
// lets none through.
func Draft(o Order, sale *Sale) *Verdict {
	if sale == nil || o.Quantity < 1 || o.Quantity > sale.UnitsPerOrder {
		return Tombstone(o, ReasonPoison)
	}
	return &Verdict{Order: o, Status: StatusConfirmed}
}

// Tombstone is the verdict on an order that must never be confirmed: a row
// without units or slot. A late message finds that row and does nothing.
func Tombstone(o Order, reason Reason) *Verdict {
	o.Quantity, o.Slot = 0, 0
	return &Verdict{Order: o, Status: StatusRejected, Reason: reason}
}

// Existing returns the verdict on o where row r has its ID: the row's or, when
// the row is another order's, a collision.
func Existing(o Order, r Record) Verdict {
	if Same(r.Order, o) {
		return r.Verdict()
	}
	return Verdict{Order: o, Status: StatusRejected, Reason: ReasonCollision}
}

// HasSlot reports whether the shoppers of s have this slot.
func (s *Sale) HasSlot(slot int) bool { return slot >= 0 && slot < s.OrdersPerShopper }

// AssignSlots gives each confirmed order of vs, all of one sale, the slot that it
// asks for or else the lowest free one. It rejects an order when no slot is free,
// or when the shopper has a live order with the same key. held are the shoppers'
// live orders; AssignSlots adds to it.
func (s *Sale) AssignSlots(vs []*Verdict, held map[string][]Order) {
	for _, v := range vs {
		if v.Status != StatusConfirmed {
			continue
		}
		slot := s.freeSlot(v.Order, held[v.ShopperID])
		if slot < 0 {
			v.Slot, v.Status, v.Reason = 0, StatusRejected, ReasonPurchaseLimit
			continue
		}
		v.Slot = slot
		held[v.ShopperID] = append(held[v.ShopperID], v.Order)
	}
}

// freeSlot returns -1 when there is none.
func (s *Sale) freeSlot(o Order, held []Order) int {
	var taken [MaxSlots]bool
	for _, h := range held {
		if h.Key == o.Key {
			return -1
		}
		taken[h.Slot] = true
	}
	if s.HasSlot(o.Slot) && !taken[o.Slot] {
		return o.Slot
	}
	return slices.Index(taken[:s.OrdersPerShopper], false)
}

// RepeatedKeys returns the confirmed orders of vs whose key another live order of
// the shopper has; no key counts as one. held are the shoppers' live orders, those
// of vs among them. vs are new orders of one sale, by ID: the first of a key stays.
func RepeatedKeys(vs []*Verdict, held map[string][]Order) (repeated []*Verdict) {
	type purchase struct {
		shopper string
		key     uint64
	}
	own := make(map[ID]bool, len(vs))
	for _, v := range vs {
		own[v.ID] = own[v.ID] || v.Status == StatusConfirmed // a collision's ID is another order's
	}
	bought := make(map[purchase]bool)
	for shopper, orders := range held {
		for _, o := range orders {
			if !own[o.ID] {
				bought[purchase{shopper, o.Key}] = true
			}
		}
	}
	for _, v := range vs {
		p := purchase{v.ShopperID, v.Key}
		switch {
		case v.Status != StatusConfirmed:
		case bought[p]:
			repeated = append(repeated, v)
		default:
			bought[p] = true
		}
	}
	return repeated
}

// Unsupplied returns the confirmed orders of vs that do not fit the available
// units, in the order of vs: a later, smaller one may still fit.
func Unsupplied(vs []*Verdict, available int) (refused []*Verdict) {
	for _, v := range vs {
		switch {
		case v.Status != StatusConfirmed:
		case v.Quantity > available:
			refused = append(refused, v)
		default:
			available -= v.Quantity
		}
	}
	return refused
}

// BySale groups verdicts: sales ascending, so that all transactions lock their
// rows in the same order, and each sale's orders by ID.
func BySale(vs []*Verdict) iter.Seq2[int64, []*Verdict] {
	groups := make(map[int64][]*Verdict, 1)
	for _, v := range slices.SortedFunc(slices.Values(vs), compareVerdicts) {
		groups[v.SaleID] = append(groups[v.SaleID], v)
	}
	return func(yield func(int64, []*Verdict) bool) {
		for _, saleID := range slices.Sorted(maps.Keys(groups)) {
			if !yield(saleID, groups[saleID]) {
				return
			}
		}
	}
}

func compareVerdicts(a, b *Verdict) int { return CompareIdentity(a.Order, b.Order) }

// NewChange records verdicts of one sale as its change seq, and sets their Seq.
func NewChange(saleID int64, seq uint64, vs []*Verdict) Change {
	c := Change{SaleID: saleID, Seq: seq, Verdicts: make([]Verdict, len(vs))}
	for i, v := range vs {
		v.Seq = seq
		c.Verdicts[i] = *v
	}
	return c
}

// Settled returns what a transaction settled: the verdicts that stood before it
// and those that it recorded, by ID.
func Settled(earlier []Verdict, recorded []*Verdict) []Verdict {
	for _, v := range recorded {
		earlier = append(earlier, *v)
	}
	slices.SortFunc(earlier, func(a, b Verdict) int { return CompareIdentity(a.Order, b.Order) })
	return earlier
}
