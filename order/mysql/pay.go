package mysql

import (
	"context"
	"database/sql"
	"fmt"

	"seckill/order"
)

// ExtendPage moves pay_by of a sale's unpaid orders to what its PayWithin says,
// among the next 256 rows after an ID, of whatever sale, and returns where to go
// on; 0 when there is nothing more. After 0 begins at the sale. It moves no
// pay_by back. Any number of processes may call it, any number of times.
func (s *Store) ExtendPage(ctx context.Context, sale order.Sale, after order.ID) (next order.ID, err error) {
	after = order.FirstOrder(sale.ID, after)
	var looked int
	err = s.db.QueryRowContext(ctx, `SELECT COALESCE(MAX(id), 0), COUNT(*) FROM (SELECT id FROM orders FORCE INDEX (PRIMARY)
		WHERE id > ? ORDER BY id LIMIT ?) p`, int64(after), order.ExtendPage).Scan(&next, &looked)
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
		return 0, fmt.Errorf("mysql: extend pay of sale %d: %w", sale.ID, err)
	}
	if looked < order.ExtendPage {
		next = 0
	}
	return next, nil
}

// Extended says that all rows of a sale have what its PayWithin says; of a sale
// whose PayWithin is another one by now it says nothing.
func (s *Store) Extended(ctx context.Context, sale order.Sale) error {
	_, _, err := exec(ctx, s.db, `UPDATE sales SET extending = 0 WHERE id = ? AND pay_within = ?`, sale.ID, seconds(sale.PayWithin))
	if err != nil {
		return fmt.Errorf("mysql: extend pay of sale %d: %w", sale.ID, err)
	}
	return nil
}

const (
	payOrder      = `UPDATE orders SET status = 'paid', decided_at = NOW(3) WHERE id = ? AND status = 'confirmed'`
	insertPayment = `INSERT INTO payments (event_id, order_id, amount_minor, currency, outcome, received_at)
		VALUES (?, ?, ?, ?, ?, NOW(3)) ON DUPLICATE KEY UPDATE event_id = payments.event_id`
	countChange = `UPDATE sales SET seq = LAST_INSERT_ID(seq + 1) WHERE id = ?`
)

// Pay keeps a payment and pays its order with it, if that is confirmed and its
// sale not voided; else the payment's outcome is that a refund is required. The same event again has
// the same outcome. The errors are ErrInvalid, ErrNotFound while the order has
// no verdict, ErrAmount, and ErrConflict when the event was another payment;
// nothing is kept then.
func (s *Store) Pay(ctx context.Context, p order.Payment) (order.Receipt, error) {
	if err := p.Validate(); err != nil {
		return order.Receipt{}, err
	}
	r, err := s.find(ctx, p.OrderID)
	if err != nil {
		return order.Receipt{}, fmt.Errorf("mysql: pay %d: %w", p.OrderID, err)
	}
	sales, err := s.terms(ctx, []order.Order{r.Order})
	if err != nil {
		return order.Receipt{}, fmt.Errorf("mysql: pay %d: %w", p.OrderID, err)
	}
	sale := sales[r.SaleID]
	if err := p.CheckAmount(r, sale); err != nil {
		return order.Receipt{}, err
	}
	var receipt order.Receipt
	err = s.retry(ctx, "pay", func(int) error {
		return s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			receipt, err = pay(ctx, tx, p, r, sale)
			return err
		})
	})
	if err != nil || receipt.Verdict.Seq > 0 {
		return receipt, err
	}
	r, err = s.find(ctx, p.OrderID)
	if err != nil {
		return order.Receipt{}, fmt.Errorf("mysql: pay %d: %w", p.OrderID, err)
	}
	receipt.Verdict = r.Verdict()
	return receipt, nil
}

// pay decides by the order's row, which it holds while it looks whether the
// event is a new one. No status but confirmed ever changes, and no sale is voided
// and then not, so an event that finds another one would find it again.
func pay(ctx context.Context, tx *sql.Tx, p order.Payment, r order.Record, sale *order.Sale) (order.Receipt, error) {
	receipt := order.Receipt{Outcome: order.OutcomeRefundRequired, Verdict: r.Verdict()}
	var paid int64
	if sale != nil && !sale.Voided {
		var err error
		if paid, _, err = exec(ctx, tx, payOrder, int64(p.OrderID)); err != nil {
			return order.Receipt{}, fmt.Errorf("pay order: %w", err)
		}
	}
	if paid == 1 {
		receipt.Outcome = order.OutcomePaid
	}
	fresh, _, err := exec(ctx, tx, insertPayment, []byte(p.EventID), int64(p.OrderID), p.AmountMinor, p.Currency, string(receipt.Outcome))
	if err != nil {
		return order.Receipt{}, fmt.Errorf("keep payment: %w", err)
	}
	if fresh == 0 {
		if receipt.Outcome, err = earlierOutcome(ctx, tx, p); err == nil && paid == 1 {
			err = fmt.Errorf("%w: event %s came before order %d was confirmed", order.ErrConflict, p.EventID, p.OrderID)
		}
		return receipt, err
	}
	if paid == 0 {
		return receipt, nil
	}
	_, seq, err := exec(ctx, tx, countChange, r.SaleID)
	if err != nil {
		return order.Receipt{}, fmt.Errorf("count change: %w", err)
	}
	receipt.Verdict.Status = order.StatusPaid
	return receipt, writeChange(ctx, tx, order.NewChange(r.SaleID, uint64(seq), []*order.Verdict{&receipt.Verdict}))
}

// earlierOutcome is that of an event which came before; ErrConflict when it
// was another payment.
func earlierOutcome(ctx context.Context, tx *sql.Tx, p order.Payment) (outcome order.Outcome, err error) {
	before := order.Payment{EventID: p.EventID}
	err = tx.QueryRowContext(ctx, `SELECT order_id, amount_minor, currency, outcome FROM payments WHERE event_id = ?`, []byte(p.EventID)).
		Scan(&before.OrderID, &before.AmountMinor, &before.Currency, &outcome)
	if err != nil {
		return "", fmt.Errorf("read payment: %w", err)
	}
	return outcome, p.Repeats(before)
}

// Unpaid reports whether a sale has a confirmed order. It may read every live
// order of the sale: not for a hot path.
func (s *Store) Unpaid(ctx context.Context, saleID int64) (bool, error) {
	var found bool
	err := s.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM orders WHERE sale_id = ? AND live = 1 AND status = 'confirmed')`, saleID).Scan(&found)
	if err != nil {
		return false, fmt.Errorf("mysql: unpaid orders of sale %d: %w", saleID, err)
	}
	return found, nil
}
