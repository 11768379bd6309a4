package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"seckill/order"
)

const insertDeadLetter = `INSERT INTO dead_letters (order_id, sale_id, shopper_id, message_id, reason, detail, body, created_at)
	VALUES (?, ?, ?, ?, ?, ?, ?, NOW(3)) ON DUPLICATE KEY UPDATE order_id = dead_letters.order_id`

// AddDeadLetter adds a refused message or a verdict. A dead letter of the same order,
// sale, shopper and message stays as it is. The error of a message is order.ErrFull if
// there are too many.
func (s *Store) AddDeadLetter(ctx context.Context, d order.DeadLetter) error {
	if !d.IsVerdict() {
		n, err := s.CountDeadLetters(ctx)
		if err != nil {
			return err
		}
		if n.Messages+n.Verdicts >= order.MaxStoredDeadLetters {
			return order.ErrFull
		}
	}
	return s.retry(ctx, "add dead letter", func(int) error {
		return s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			_, err := addDeadLetter(ctx, tx, d)
			return err
		})
	})
}

// addDeadLetter reports whether it is a new one.
func addDeadLetter(ctx context.Context, db execer, d order.DeadLetter) (fresh bool, err error) {
	d = d.Fitted()
	body := d.Body
	if body == nil {
		body = []byte{} // nil would be NULL
	}
	n, _, err := exec(ctx, db, insertDeadLetter,
		int64(d.OrderID), d.SaleID, []byte(d.ShopperID), []byte(d.MessageID), []byte(d.Reason), []byte(d.Detail), body)
	if err != nil {
		return false, fmt.Errorf("dead letter: %w", err)
	}
	return n == 1, nil
}

// addCollisions adds the dead letters that are the verdicts on orders whose ID
// belongs to another order.
func (t *settling) addCollisions(ctx context.Context) error {
	for _, vs := range order.BySale(t.collided) {
		for _, v := range vs {
			fresh, err := addDeadLetter(ctx, t.tx, order.VerdictDeadLetter(*v, "the order ID belongs to another order", nil))
			if err != nil {
				return err
			}
			if fresh {
				t.fresh = append(t.fresh, v)
			} else {
				t.earlier = append(t.earlier, *v)
			}
		}
	}
	return nil
}

// DeadLetters returns dead letters, newest first.
func (s *Store) DeadLetters(ctx context.Context, q order.DeadLetterQuery) ([]order.DeadLetter, error) {
	after := q.After
	if after == (order.DeadLetterCursor{}) {
		after.At = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	var found []order.DeadLetter
	err := query(ctx, s.db, func(rows *sql.Rows) error {
		var d order.DeadLetter
		err := rows.Scan(&d.MessageID, &d.OrderID, &d.SaleID, &d.ShopperID, &d.Reason, &d.Detail, &d.Body, &d.CreatedAt)
		found = append(found, d)
		return err
	}, `SELECT message_id, order_id, sale_id, shopper_id, reason, detail, body, created_at FROM dead_letters
		WHERE (? = 0 OR sale_id = ?) AND (created_at, order_id, sale_id, shopper_id, message_id) < (?, ?, ?, ?, ?)
		ORDER BY created_at DESC, order_id DESC, sale_id DESC, shopper_id DESC, message_id DESC LIMIT ?`,
		q.SaleID, q.SaleID, after.At, int64(after.OrderID), after.SaleID, []byte(after.ShopperID), []byte(after.MessageID), q.Limit)
	if err != nil {
		return nil, fmt.Errorf("mysql: dead letters: %w", err)
	}
	return found, nil
}

// DeadLettersNamed returns the dead letters with a message ID and, if name is the
// decimal ID of an order, the verdicts on that order: at most MaxDeadLetters, messages
// before verdicts. There is rarely more than one.
func (s *Store) DeadLettersNamed(ctx context.Context, name string) ([]order.DeadLetter, error) {
	id, err := order.ParseID(name)
	if err != nil {
		id = 0 // a message whose ID is not an order's has order 0
	}
	var found []order.DeadLetter
	// Nothing but its ID is known of an unreadable message. There may be any number of
	// them; the whole primary key reads only one.
	err = query(ctx, s.db, func(rows *sql.Rows) error {
		var d order.DeadLetter
		err := rows.Scan(&d.MessageID, &d.OrderID, &d.SaleID, &d.ShopperID, &d.Reason, &d.Detail, &d.Body, &d.CreatedAt)
		found = append(found, d)
		return err
	}, `SELECT message_id, order_id, sale_id, shopper_id, reason, detail, body, created_at FROM dead_letters
		WHERE (order_id = 0 AND sale_id = 0 AND shopper_id = '' AND message_id = ?)
			OR (order_id = 0 AND sale_id > 0 AND message_id = ?)
			OR (order_id = ? AND order_id > 0 AND message_id IN ('', ?))
		ORDER BY order_id, sale_id, shopper_id, message_id LIMIT ?`, []byte(name), []byte(name), int64(id), []byte(name), order.MaxDeadLetters)
	if err != nil {
		return nil, fmt.Errorf("mysql: dead letters of %q: %w", name, err)
	}
	return found, nil
}

// CountDeadLetters counts the dead letters of all sales, up to order.MaxStoredDeadLetters.
func (s *Store) CountDeadLetters(ctx context.Context) (n order.DeadLetterCount, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT COUNT(*) - COALESCE(SUM(verdict), 0), COALESCE(SUM(verdict), 0)
		FROM (SELECT message_id = '' AND order_id <> 0 AS verdict FROM dead_letters LIMIT ?) AS counted`, order.MaxStoredDeadLetters).Scan(&n.Messages, &n.Verdicts)
	if err != nil {
		return n, fmt.Errorf("mysql: count dead letters: %w", err)
	}
	return n, nil
}

// DiscardAs deletes a dead letter that is an unreadable message. cmd is the command's
// name in the audit log. The errors are ErrConflict for a verdict, which must stay, and
// ErrNotFound.
func (s *Store) DiscardAs(ctx context.Context, by order.Operator, cmd string, d order.DeadLetter) error {
	if err := d.CheckDiscard(); err != nil {
		return err
	}
	return s.retry(ctx, "discard", func(int) error {
		return s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			n, _, err := exec(ctx, tx, `DELETE FROM dead_letters WHERE order_id = ? AND sale_id = ? AND shopper_id = ? AND message_id = ?`,
				int64(d.OrderID), d.SaleID, []byte(d.ShopperID), []byte(d.MessageID))
			if err == nil && n == 0 {
				err = fmt.Errorf("dead letter %q: %w", d.MessageID, order.ErrNotFound)
			}
			if err != nil {
				return err
			}
			return writeAudit(ctx, tx, order.DiscardEntry(by, cmd, d))
		})
	})
}
