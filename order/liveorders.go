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

// Place is how far LiveOrders has come in a sale. The zero Place is its beginning,
// and its end.
type Place struct {
	ShopperID string
	Slot      int
	Dead      bool // the order there was not live: one that is may follow in its slot
}

// LiveOrders looks at the next orders of a sale by shopper and slot, at most
// limit, and returns those that are live, and where to go on. Each call costs a
// range of the unique key and its rows, whatever else was sold meanwhile.
func (s *Store) LiveOrders(ctx context.Context, saleID int64, after Place, limit int) (page []Record, next Place, err error) {
	where, args := `sale_id = ?`, []any{saleID}
	if after != (Place{}) {
		var live any // matches none
		if after.Dead {
			live = 1
		}
		where += ` AND (shopper_id > ? OR shopper_id = ? AND (slot > ? OR slot = ? AND live = ?))`
		args = append(args, after.ShopperID, after.ShopperID, after.Slot, after.Slot, live)
	}
	looked := 0
	err = query(ctx, s.db, func(rows *sql.Rows) error {
		var r Record
		err := scanRecord(rows, &r)
		looked++
		next = Place{r.ShopperID, r.Slot, !r.Status.Live()}
		if !next.Dead {
			page = append(page, r)
		}
		return err
	}, `SELECT `+recordColumns+` FROM orders FORCE INDEX (orders_slot) WHERE `+where+` ORDER BY shopper_id, slot, live LIMIT ?`,
		append(args, limit)...)
	if err != nil {
		return nil, Place{}, fmt.Errorf("order: live orders of sale %d: %w", saleID, err)
	}
	if looked < limit {
		next = Place{}
	}
	return page, next, nil
}

// rowsAfter looks at the next rows after an ID, at most limit of whatever sale,
// and returns those of the given one, by ID, and where to go on; 0 when there is
// nothing more. After 0 begins at the sale. Each call costs a range of the
// primary key, nothing else.
func rowsAfter(ctx context.Context, db queryer, saleID int64, after ID, limit int) (page []Record, next ID, err error) {
	after = FirstOrder(saleID, after)
	var looked int
	err = query(ctx, db, func(rows *sql.Rows) error {
		return rows.Scan(&next, &looked)
	}, `SELECT COALESCE(MAX(id), 0), COUNT(*) FROM (SELECT id FROM orders FORCE INDEX (PRIMARY) WHERE id > ? ORDER BY id LIMIT ?) p`,
		int64(after), limit)
	if err == nil && looked > 0 {
		page, err = rowsBetween(ctx, db, saleID, after, next)
	}
	if looked < limit {
		next = 0
	}
	return page, next, err
}

func rowsBetween(ctx context.Context, db queryer, saleID int64, after, last ID) ([]Record, error) {
	var found []Record
	err := query(ctx, db, func(rows *sql.Rows) error {
		var r Record
		err := scanRecord(rows, &r)
		found = append(found, r)
		return err
	}, `SELECT `+recordColumns+` FROM orders FORCE INDEX (PRIMARY) WHERE id > ? AND id <= ? AND sale_id = ? ORDER BY id`,
		int64(after), int64(last), saleID)
	return found, err
}

// FirstOrder is after or, if that is 0, an ID before any order of the sale.
func FirstOrder(saleID int64, after ID) ID {
	if after != 0 {
		return after
	}
	return max(0, ID(saleID)-ID(idSlack.Milliseconds())<<timeShift)
}
