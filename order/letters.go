package order

import (
	"context"
	"database/sql"
	"fmt"
)

// MaxLetters is how many dead letters of one name Letters returns.
const MaxLetters = 100

// Letters returns the dead letters of a message ID and, where name is the
// decimal ID of an order, the verdicts among them on that order: at most
// MaxLetters, messages before verdicts. There is rarely more than one; more than
// a few are of somebody who gives one order ID to many shoppers' orders.
func (s *Store) Letters(ctx context.Context, name string) ([]DeadLetter, error) {
	id, err := ParseID(name)
	if err != nil {
		id = 0 // a message whose ID is no order's is kept under order 0
	}
	var letters []DeadLetter
	// Of an unreadable message nothing is known but its ID. There may be any number
	// of these, and by the whole key only one of them is read.
	err = query(ctx, s.db, func(rows *sql.Rows) error {
		var d DeadLetter
		err := rows.Scan(&d.MessageID, &d.OrderID, &d.SaleID, &d.ShopperID, &d.Reason, &d.Detail, &d.Body, &d.CreatedAt)
		letters = append(letters, d)
		return err
	}, `SELECT message_id, order_id, sale_id, shopper_id, reason, detail, body, created_at FROM dead_letters
		WHERE (order_id = 0 AND sale_id = 0 AND shopper_id = '' AND message_id = ?)
			OR (order_id = 0 AND sale_id > 0 AND message_id = ?)
			OR (order_id = ? AND order_id > 0 AND message_id IN ('', ?))
		ORDER BY order_id, sale_id, shopper_id, message_id LIMIT ?`, []byte(name), []byte(name), int64(id), []byte(name), MaxLetters)
	if err != nil {
		return nil, fmt.Errorf("order: dead letters of %q: %w", name, err)
	}
	return letters, nil
}

// LetterCount is how many dead letters are kept.
type LetterCount struct {
	Messages int // that could not be read, until they are discarded
	Verdicts int // on orders that can have no row of their own; they stay
}

// maxCounted bounds what CountLetters counts: more is as bad.
const maxCounted = 10_000

// CountLetters counts the dead letters of all sales, up to 10,000 of them.
func (s *Store) CountLetters(ctx context.Context) (n LetterCount, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT COUNT(*) - COALESCE(SUM(verdict), 0), COALESCE(SUM(verdict), 0)
		FROM (SELECT message_id = '' AND order_id <> 0 AS verdict FROM dead_letters LIMIT ?) AS letters`, maxCounted).Scan(&n.Messages, &n.Verdicts)
	if err != nil {
		return n, fmt.Errorf("order: count dead letters: %w", err)
	}
	return n, nil
}

// Discard deletes a message that could not be read. A verdict stays: it is
// ErrConflict. ErrNotFound: there is no such letter (any more).
func (s *Store) Discard(ctx context.Context, d DeadLetter) error {
	return s.DiscardAs(ctx, Operator{}, "", d)
}

// DiscardAs is Discard by an operator, under the name of a command for the
// audit log.
func (s *Store) DiscardAs(ctx context.Context, by Operator, cmd string, d DeadLetter) error {
	if d.Verdict() {
		return fmt.Errorf("order: discard: %w: the letter is the verdict on order %d", ErrConflict, d.OrderID)
	}
	return s.retry(ctx, "discard", func(int) error {
		return s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			n, _, err := exec(ctx, tx, `DELETE FROM dead_letters WHERE order_id = ? AND sale_id = ? AND shopper_id = ? AND message_id = ?`,
				int64(d.OrderID), d.SaleID, []byte(d.ShopperID), []byte(d.MessageID))
			if err == nil && n == 0 {
				err = fmt.Errorf("dead letter %q: %w", d.MessageID, ErrNotFound)
			}
			if err != nil {
				return err
			}
			return writeAudit(ctx, tx, DiscardEntry(by, cmd, d))
		})
	})
}

// Verdict reports whether d is the verdict on its order, which polls and the
// sweeper read, and no mere message.
func (d DeadLetter) Verdict() bool { return d.MessageID == "" && d.OrderID != 0 }
