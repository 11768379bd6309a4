package order

import (
	"context"
	"database/sql"
	"fmt"
)

// extendAtOnce is how many rows one transaction of ExtendPage looks at.
const extendAtOnce = 256

// ExtendPage moves pay_by of a sale's unpaid orders to what its PayWithin says,
// among the next 256 rows after an ID, of whatever sale, and returns where to go
// on; 0 when there is nothing more. After 0 begins at the sale. It moves no
// pay_by back. Any number of processes may call it, any number of times.
func (s *Store) ExtendPage(ctx context.Context, sale Sale, after ID) (next ID, err error) {
	after = FirstOrder(sale.ID, after)
	var looked int
	err = s.db.QueryRowContext(ctx, `SELECT COALESCE(MAX(id), 0), COUNT(*) FROM (SELECT id FROM orders FORCE INDEX (PRIMARY)
		WHERE id > ? ORDER BY id LIMIT ?) p`, int64(after), extendAtOnce).Scan(&next, &looked)
	if err == nil && looked > 0 {
		err = s.retry(ctx, "extend pay", func(int) error {
			return s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
				_, _, err := exec(ctx, tx, `UPDATE orders FORCE INDEX (PRIMARY) SET pay_by = decided_at + INTERVAL ? SECOND
					WHERE id > ? AND id <= ? AND sale_id = ? AND status = 'confirmed' AND pay_by < decided_at + INTERVAL ? SECOND`,
					seconds(sale.PayWithin), int64(after), int64(next), sale.ID, seconds(sale.PayWithin))
				return err
			})
		})
	}
	if err != nil {
		return 0, fmt.Errorf("order: extend pay of sale %d: %w", sale.ID, err)
	}
	if looked < extendAtOnce {
		next = 0
	}
	return next, nil
}

// Extended says that all rows of a sale have what its PayWithin says; of a sale
// whose PayWithin is another one by now it says nothing.
func (s *Store) Extended(ctx context.Context, sale Sale) error {
	_, _, err := exec(ctx, s.db, `UPDATE sales SET extending = 0 WHERE id = ? AND pay_within = ?`, sale.ID, seconds(sale.PayWithin))
	if err != nil {
		return fmt.Errorf("order: extend pay of sale %d: %w", sale.ID, err)
	}
	return nil
}
