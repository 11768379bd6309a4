package mysql

import (
	"context"
	"database/sql"
	"fmt"

	"seckill/order"
)

// LiveOrders scans the next orders of a sale by shopper and slot, at most limit, and
// returns the live ones and where to continue. Each call reads one range of the unique
// key and its rows.
func (s *Store) LiveOrders(ctx context.Context, saleID int64, after order.SlotCursor, limit int) (page []order.Record, next order.SlotCursor, err error) {
	where, args := `sale_id = ?`, []any{saleID}
	if after != (order.SlotCursor{}) {
		var live any // matches none
		if after.Dead {
			live = 1
		}
		where += ` AND (shopper_id > ? OR shopper_id = ? AND (slot > ? OR slot = ? AND live = ?))`
		args = append(args, after.ShopperID, after.ShopperID, after.Slot, after.Slot, live)
	}
	scanned := 0
	err = query(ctx, s.db, func(rows *sql.Rows) error {
		var r order.Record
		err := scanRecord(rows, &r)
		scanned++
		if next = r.SlotCursor(); !next.Dead {
			page = append(page, r)
		}
		return err
	}, `SELECT `+recordColumns+` FROM orders FORCE INDEX (orders_slot) WHERE `+where+` ORDER BY shopper_id, slot, live LIMIT ?`,
		append(args, limit)...)
	if err != nil {
		return nil, order.SlotCursor{}, fmt.Errorf("mysql: live orders of sale %d: %w", saleID, err)
	}
	if scanned < limit {
		next = order.SlotCursor{}
	}
	return page, next, nil
}

// rowsAfter scans the next rows after an ID, at most limit of all sales, and returns
// those of one sale, by ID, and where to continue, or 0 at the end; after 0 means from
// the beginning of the sale. Each call reads one range of the primary key.
func rowsAfter(ctx context.Context, db queryer, saleID int64, after order.ID, limit int) (page []order.Record, next order.ID, err error) {
	after = order.FirstOrder(saleID, after)
	var scanned int
	err = query(ctx, db, func(rows *sql.Rows) error {
		return rows.Scan(&next, &scanned)
	}, `SELECT COALESCE(MAX(id), 0), COUNT(*) FROM (SELECT id FROM orders FORCE INDEX (PRIMARY) WHERE id > ? ORDER BY id LIMIT ?) p`,
		int64(after), limit)
	if err == nil && scanned > 0 {
		page, err = rowsBetween(ctx, db, saleID, after, next)
	}
	if scanned < limit {
		next = 0
	}
	return page, next, err
}

func rowsBetween(ctx context.Context, db queryer, saleID int64, after, last order.ID) ([]order.Record, error) {
	var found []order.Record
	err := query(ctx, db, func(rows *sql.Rows) error {
		var r order.Record
		err := scanRecord(rows, &r)
		found = append(found, r)
		return err
	}, `SELECT `+recordColumns+` FROM orders FORCE INDEX (PRIMARY) WHERE id > ? AND id <= ? AND sale_id = ? ORDER BY id`,
		int64(after), int64(last), saleID)
	return found, err
}

// searchRows is how many rows one call of Orders scans: one range of the primary key,
// which takes about ten milliseconds.
const searchRows = 20_000

// Orders returns orders of a sale and where to continue, or 0 at the end. There is no
// index for it, because every order would pay for that: a call scans 20,000 rows of
// all sales, and may find none although there are more.
func (s *Store) Orders(ctx context.Context, q order.Query) (found []order.Record, next order.ID, err error) {
	first := order.FirstOrder(q.SaleID, 0)
	before := q.Before
	if before == 0 {
		before = order.ID(1<<63 - 1)
	}
	var scanned int
	err = s.db.QueryRowContext(ctx, `SELECT COALESCE(MIN(id), 0), COUNT(*) FROM (SELECT id FROM orders FORCE INDEX (PRIMARY)
		WHERE id > ? AND id < ? ORDER BY id DESC LIMIT ?) p`, int64(first), int64(before), searchRows).Scan(&next, &scanned)
	if err == nil && scanned > 0 {
		err = query(ctx, s.db, func(rows *sql.Rows) error {
			var r order.Record
			err := scanRecord(rows, &r)
			found = append(found, r)
			return err
		}, `SELECT `+recordColumns+` FROM orders FORCE INDEX (PRIMARY)
			WHERE id >= ? AND id < ? AND sale_id = ? AND (? = '' OR reference = ?) ORDER BY id DESC LIMIT ?`,
			int64(next), int64(before), q.SaleID, []byte(q.Reference), []byte(q.Reference), q.Limit)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("mysql: orders of sale %d: %w", q.SaleID, err)
	}
	switch {
	case len(found) == q.Limit:
		next = found[q.Limit-1].ID
	case scanned < searchRows:
		next = 0
	}
	return found, next, nil
}

// OfShopper returns a shopper's orders in some sales, newest first, from below an ID, or
// from the newest for 0.
func (s *Store) OfShopper(ctx context.Context, saleIDs []int64, shopper string, before order.ID, limit int) ([]order.Record, error) {
	if len(saleIDs) == 0 {
		return nil, nil
	}
	args := make([]any, 0, len(saleIDs)+4)
	for _, id := range saleIDs {
		args = append(args, id)
	}
	found, err := s.records(ctx, `id IN (SELECT id FROM (SELECT id FROM orders FORCE INDEX (orders_slot)
		WHERE sale_id IN (`+repeat("?", len(saleIDs))+`) AND shopper_id = ? AND (? = 0 OR id < ?) ORDER BY id DESC LIMIT ?) p) ORDER BY id DESC`,
		append(args, []byte(shopper), int64(before), int64(before), limit)...)
	if err != nil {
		return nil, fmt.Errorf("mysql: of shopper: %w", err)
	}
	return found, nil
}
