package memory

import (
	"cmp"
	"context"
	"slices"

	"seckill/order"
)

// LiveOrders is as in order/mysql.
func (s *Store) LiveOrders(_ context.Context, saleID int64, after order.SlotCursor, limit int) (page []order.Record, next order.SlotCursor, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var rows []*order.Record
	for _, r := range s.orders {
		if r.SaleID == saleID && (after == (order.SlotCursor{}) || compareCursors(r.SlotCursor(), after) > 0) {
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, func(a, b *order.Record) int { return compareCursors(a.SlotCursor(), b.SlotCursor()) })
	if len(rows) >= limit {
		rows = rows[:limit]
		next = rows[limit-1].SlotCursor()
	}
	for _, r := range rows {
		if r.Status.Live() {
			page = append(page, *r)
		}
	}
	return page, next, nil
}

// compareCursors sorts as the unique key does: dead orders come first in their slot.
func compareCursors(a, b order.SlotCursor) int {
	return cmp.Or(cmp.Compare(a.ShopperID, b.ShopperID), cmp.Compare(a.Slot, b.Slot), cmp.Compare(alive(a), alive(b)))
}

func alive(p order.SlotCursor) int {
	if p.Dead {
		return 0
	}
	return 1
}

// next returns the orders after an ID, at most limit, and where to continue.
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

// Orders is as in order/mysql.
func (s *Store) Orders(_ context.Context, q order.Query) (found []order.Record, next order.ID, err error) {
	_, all, _, err := s.all(q.SaleID)
	if err != nil {
		return nil, 0, nil //nolint:nilerr // a sale that does not exist has no orders
	}
	for _, r := range slices.Backward(all) {
		if (q.Before == 0 || r.ID < q.Before) && (q.Reference == "" || r.Reference == q.Reference) {
			found = append(found, r)
		}
	}
	if len(found) >= q.Limit {
		found = found[:q.Limit]
		next = found[q.Limit-1].ID
	}
	return found, next, nil
}

// OfShopper is as in order/mysql.
func (s *Store) OfShopper(ctx context.Context, saleIDs []int64, id string, before order.ID, limit int) ([]order.Record, error) {
	var found []order.Record
	for _, sale := range saleIDs {
		rs, err := s.ByShopper(ctx, sale, id, before, limit)
		if err != nil {
			return nil, err
		}
		found = append(found, rs...)
	}
	slices.SortFunc(found, func(a, b order.Record) int { return cmp.Compare(b.ID, a.ID) })
	return found[:min(len(found), limit)], nil
}
