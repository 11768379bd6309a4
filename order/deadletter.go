package order

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"
)

// DeadLetter is a message that could not be read or, with an empty MessageID,
// the verdict on an order that can have no row of its own.
type DeadLetter struct {
	MessageID string
	OrderID   ID    // 0 where unknown
	SaleID    int64 // 0 where unknown
	ShopperID string
	Reason    string
	Detail    string // for the operator
	Body      []byte
	CreatedAt time.Time // set by the store
}

// Sizes of the columns: a dead letter is cut to fit, since nothing may refuse it.
const (
	maxMessageIDSize = 128
	maxLetterReason  = 32
	maxDetailSize    = 512
	maxBodySize      = 1<<16 - 1
)

// Fitted returns d as it is kept: each field cut to the size of its column.
func (d DeadLetter) Fitted() DeadLetter {
	d.MessageID = head(d.MessageID, maxMessageIDSize)
	d.ShopperID = head(d.ShopperID, maxShopperSize)
	d.Reason = head(d.Reason, maxLetterReason)
	d.Detail = head(d.Detail, maxDetailSize)
	d.Body = d.Body[:min(len(d.Body), maxBodySize)]
	return d
}

func head(s string, n int) string { return s[:min(len(s), n)] }

const insertLetter = `INSERT INTO dead_letters (order_id, sale_id, shopper_id, message_id, reason, detail, body, created_at)
	VALUES (?, ?, ?, ?, ?, ?, ?, NOW(3)) ON DUPLICATE KEY UPDATE order_id = dead_letters.order_id`

// Bury keeps a message that cannot be read. A letter that is there already,
// by order, sale, shopper and message, is left alone.
func (s *Store) Bury(ctx context.Context, d DeadLetter) error {
	return s.retry(ctx, "bury", func(int) error {
		_, err := bury(ctx, s.db, d)
		return err
	})
}

// bury reports whether the letter is a new one.
func bury(ctx context.Context, db execer, d DeadLetter) (fresh bool, err error) {
	d = d.Fitted()
	body := d.Body
	if body == nil {
		body = []byte{} // nil would be NULL
	}
	n, _, err := exec(ctx, db, insertLetter,
		int64(d.OrderID), d.SaleID, []byte(d.ShopperID), []byte(d.MessageID), []byte(d.Reason), []byte(d.Detail), body)
	if err != nil {
		return false, fmt.Errorf("dead letter: %w", err)
	}
	return n == 1, nil
}

// collide writes the dead letters that are the verdicts on orders whose ID
// belongs to another order.
func (t *settling) collide(ctx context.Context) error {
	slices.SortFunc(t.collided, func(a, b *Verdict) int { return byIdentity(a.Order, b.Order) })
	for _, v := range t.collided {
		fresh, err := bury(ctx, t.tx, DeadLetter{
			OrderID: v.ID, SaleID: v.SaleID, ShopperID: v.ShopperID,
			Reason: string(ReasonCollision), Detail: "the order ID belongs to another order",
		})
		if err != nil {
			return err
		}
		if fresh {
			t.fresh = append(t.fresh, v)
		} else {
			t.earlier = append(t.earlier, *v)
		}
	}
	return nil
}

// DeadLetters returns the dead letters of a sale, or of all for sale 0, newest
// first.
func (s *Store) DeadLetters(ctx context.Context, saleID int64, limit int) ([]DeadLetter, error) {
	var letters []DeadLetter
	err := query(ctx, s.db, func(rows *sql.Rows) error {
		var d DeadLetter
		err := rows.Scan(&d.MessageID, &d.OrderID, &d.SaleID, &d.ShopperID, &d.Reason, &d.Detail, &d.Body, &d.CreatedAt)
		letters = append(letters, d)
		return err
	}, `SELECT message_id, order_id, sale_id, shopper_id, reason, detail, body, created_at FROM dead_letters
		WHERE ? = 0 OR sale_id = ? ORDER BY created_at DESC, order_id DESC LIMIT ?`, saleID, saleID, limit)
	if err != nil {
		return nil, fmt.Errorf("order: dead letters: %w", err)
	}
	return letters, nil
}
