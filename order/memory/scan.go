package memory

import (
	"cmp"
	"context"
	"slices"

	"seckill/order"
)

// LiveOrders is order.Store's.
func (s *Store) LiveOrders(_ context.Context, saleID int64, after order.Place, limit int) (page []order.Record, next order.Place, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var rows []*order.Record
	for _, r := range s.orders {
		if r.SaleID == saleID && (after == (order.Place{}) || comparePlaces(placeOf(r), after) > 0) {
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, func(a, b *order.Record) int { return comparePlaces(placeOf(a), placeOf(b)) })
	if len(rows) >= limit {
		rows = rows[:limit]
		next = placeOf(rows[limit-1])
	}
	for _, r := range rows {
		if r.Status.Live() {
			page = append(page, *r)
		}
	}
	return page, next, nil
}

func placeOf(r *order.Record) order.Place {
	return order.Place{ShopperID: r.ShopperID, Slot: r.Slot, Dead: !r.Status.Live()}
}

// comparePlaces orders as the unique key does: in a slot the dead come first.
func comparePlaces(a, b order.Place) int {
	return cmp.Or(cmp.Compare(a.ShopperID, b.ShopperID), cmp.Compare(a.Slot, b.Slot), cmp.Compare(alive(a), alive(b)))
}

func alive(p order.Place) int {
	if p.Dead {
		return 0
	}
	return 1
}

// next returns the orders after an ID, at most limit, and where to go on.
func (s *Store) next(after order.ID, limit int) (ids []order.ID, next order.ID) {
	for id := range s.orders {
		if id > after {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	if len(ids) >= limit {
		ids = ids[:limit]
		next = ids[limit-1]
	}
	return ids, next
}
