package memory

import (
	"cmp"
	"context"
	"slices"

	"seckill/order"
)

// Orders is as in order/mysql.
func (s *Store) Orders(_ context.Context, q order.Query) (found []order.Record, next order.ID, err error) {
	_, all, err := s.all(q.SaleID)
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
func (s *Store) OfShopper(ctx context.Context, saleIDs []int64, id string, limit int) ([]order.Record, error) {
	var found []order.Record
	for _, sale := range saleIDs {
		rs, err := s.ByShopper(ctx, sale, id, 0, limit)
		if err != nil {
			return nil, err
		}
		found = append(found, rs...)
	}
	slices.SortFunc(found, func(a, b order.Record) int { return cmp.Compare(b.ID, a.ID) })
	return found[:min(len(found), limit)], nil
}
