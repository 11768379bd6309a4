package order

import (
	"context"
	"database/sql"
	"fmt"
)

// Query selects orders of one sale, newest first.
type Query struct {
	SaleID    int64
	Reference string // "": of any
	Before    ID     // orders with a lower ID; 0: from the newest
	Limit     int
}

// searchLook is how many rows one look of Orders reads: a range of the primary
// key, some ten milliseconds.
const searchLook = 20_000

// Orders returns orders of a sale and where to go on, 0 at the end. No index
// serves this question, so that no order pays for one: a call looks at 20,000
// rows of whatever sale, and may find none although there are more.
func (s *Store) Orders(ctx context.Context, q Query) (found []Record, next ID, err error) {
	first := FirstOrder(q.SaleID, 0)
	before := q.Before
	if before == 0 {
		before = ID(1<<63 - 1)
	}
	var looked int
	err = s.db.QueryRowContext(ctx, `SELECT COALESCE(MIN(id), 0), COUNT(*) FROM (SELECT id FROM orders FORCE INDEX (PRIMARY)
		WHERE id > ? AND id < ? ORDER BY id DESC LIMIT ?) p`, int64(first), int64(before), searchLook).Scan(&next, &looked)
	if err == nil && looked > 0 {
		err = query(ctx, s.db, func(rows *sql.Rows) error {
			var r Record
			err := scanRecord(rows, &r)
			found = append(found, r)
			return err
		}, `SELECT `+recordColumns+` FROM orders FORCE INDEX (PRIMARY)
			WHERE id >= ? AND id < ? AND sale_id = ? AND (? = '' OR reference = ?) ORDER BY id DESC LIMIT ?`,
			int64(next), int64(before), q.SaleID, []byte(q.Reference), []byte(q.Reference), q.Limit)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("order: orders of sale %d: %w", q.SaleID, err)
	}
	switch {
	case len(found) == q.Limit:
		next = found[q.Limit-1].ID
	case looked < searchLook:
		next = 0
	}
	return found, next, nil
}

// OfShopper returns a shopper's orders in some sales, newest first.
func (s *Store) OfShopper(ctx context.Context, saleIDs []int64, shopper string, limit int) ([]Record, error) {
	if len(saleIDs) == 0 {
		return nil, nil
	}
	args := make([]any, 0, len(saleIDs)+2)
	for _, id := range saleIDs {
		args = append(args, id)
	}
	found, err := s.records(ctx, `sale_id IN (`+repeat("?", len(saleIDs))+`) AND shopper_id = ? ORDER BY id DESC LIMIT ?`,
		append(args, []byte(shopper), limit)...)
	if err != nil {
		return nil, fmt.Errorf("order: of shopper: %w", err)
	}
	return found, nil
}
