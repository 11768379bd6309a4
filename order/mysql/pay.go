package mysql

import (
	"context"
	"database/sql"
	"fmt"

	"seckill/order"
)

const (
	payOrder      = `UPDATE orders SET status = 'paid', decided_at = NOW(3) WHERE id = ? AND status = 'confirmed'`
	insertPayment = `INSERT INTO payments (event_id, order_id, amount_minor, currency, outcome, received_at)
		VALUES (?, ?, ?, ?, ?, NOW(3)) ON DUPLICATE KEY UPDATE event_id = payments.event_id`
	countChange = `UPDATE sales SET seq = LAST_INSERT_ID(seq + 1) WHERE id = ?`
)

// Pay records a payment. If the order is confirmed and its sale not voided, the order
// is paid; else a refund is required. The same event has the same outcome again. The
// errors are ErrInvalid, ErrNotFound while the order has no verdict, ErrAmount, and
// ErrConflict if the event was another payment; nothing is recorded then.
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

// pay decides by the order's row, which it locks before it checks whether the event is
// new. Only the status confirmed ever changes, and a voided sale stays voided, so an
// event that requires a refund once always requires it.
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
		return order.Receipt{}, fmt.Errorf("record payment: %w", err)
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
	err = writeChange(ctx, tx, order.NewChange(r.SaleID, uint64(seq), []*order.Verdict{&receipt.Verdict})) // sets its Seq
	return receipt, err
}

// earlierOutcome returns the outcome of an event that is recorded, or ErrConflict if
// it was another payment.
func earlierOutcome(ctx context.Context, tx *sql.Tx, p order.Payment) (outcome order.Outcome, err error) {
	before := order.Payment{EventID: p.EventID}
	err = tx.QueryRowContext(ctx, `SELECT order_id, amount_minor, currency, outcome FROM payments WHERE event_id = ?`, []byte(p.EventID)).
		Scan(&before.OrderID, &before.AmountMinor, &before.Currency, &outcome)
	if err != nil {
		return "", fmt.Errorf("read payment: %w", err)
	}
	return outcome, p.Repeats(before)
}
