package order

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// idSlack is how far the clocks of a fleet may differ: a sale's ID is older
// than those of its orders, by the clock of whoever made it.
const idSlack = 2 * time.Hour

// LiveOrders looks at the next rows after an ID, at most limit of whatever
// sale, and returns those that are live orders of the given one, by ID, and
// where to go on; 0 when there is nothing more. After 0 begins at the sale.
// Each call costs a range of the primary key, nothing else.
func (s *Store) LiveOrders(ctx context.Context, saleID int64, after ID, limit int) (page []Record, next ID, err error) {
	page, next, err = rowsAfter(ctx, s.db, saleID, after, limit, true)
	if err != nil {
		return nil, 0, fmt.Errorf("order: live orders of sale %d: %w", saleID, err)
	}
	return page, next, nil
}

// rowsAfter is LiveOrders, or all orders if those that are not live are wanted.
func rowsAfter(ctx context.Context, db queryer, saleID int64, after ID, limit int, liveOnly bool) (page []Record, next ID, err error) {
	after = FirstOrder(saleID, after)
	var looked int
	err = query(ctx, db, func(rows *sql.Rows) error {
		return rows.Scan(&next, &looked)
	}, `SELECT COALESCE(MAX(id), 0), COUNT(*) FROM (SELECT id FROM orders FORCE INDEX (PRIMARY) WHERE id > ? ORDER BY id LIMIT ?) p`,
		int64(after), limit)
	if err == nil && looked > 0 {
		page, err = rowsBetween(ctx, db, saleID, after, next, liveOnly)
	}
	if looked < limit {
		next = 0
	}
	return page, next, err
}

func rowsBetween(ctx context.Context, db queryer, saleID int64, after, last ID, liveOnly bool) ([]Record, error) {
	where := `WHERE id > ? AND id <= ? AND sale_id = ?`
	if liveOnly {
		where += ` AND live = 1`
	}
	var found []Record
	err := query(ctx, db, func(rows *sql.Rows) error {
		var r Record
		err := scanRecord(rows, &r)
		found = append(found, r)
		return err
	}, `SELECT `+recordColumns+` FROM orders FORCE INDEX (PRIMARY) `+where+` ORDER BY id`, int64(after), int64(last), saleID)
	return found, err
}

// FirstOrder is after or, if that is 0, an ID before any order of the sale.
func FirstOrder(saleID int64, after ID) ID {
	if after != 0 {
		return after
	}
	return max(0, ID(saleID)-ID(idSlack.Milliseconds())<<timeShift)
}
