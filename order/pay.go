package order

import (
	"context"
	"database/sql"
	"fmt"
)

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
func (s *Store) Pay(ctx context.Context, p Payment) (Receipt, error) {
	if err := p.Validate(); err != nil {
		return Receipt{}, err
	}
	r, err := s.find(ctx, p.OrderID)
	if err != nil {
		return Receipt{}, fmt.Errorf("order: pay %d: %w", p.OrderID, err)
	}
	terms, err := s.saleTerms(ctx, []Order{r.Order})
	if err != nil {
		return Receipt{}, fmt.Errorf("order: pay %d: %w", p.OrderID, err)
	}
	if !p.Owes(r, terms[r.SaleID].currency) {
		return Receipt{}, fmt.Errorf("%w: order %d", ErrAmount, p.OrderID)
	}
	var receipt Receipt
	err = s.retry(ctx, "pay", func(int) error {
		return s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			receipt, err = pay(ctx, tx, p, r.Verdict(), terms[r.SaleID].voided)
			return err
		})
	})
	if err != nil || receipt.Verdict.Seq > 0 {
		return receipt, err
	}
	r, err = s.find(ctx, p.OrderID)
	if err != nil {
		return Receipt{}, fmt.Errorf("order: pay %d: %w", p.OrderID, err)
	}
	receipt.Verdict = r.Verdict()
	return receipt, nil
}

// pay decides by the order's row, which it holds while it looks whether the
// event is a new one. No status but confirmed ever changes, and no sale is voided
// and then not, so an event that finds another one would find it again.
func pay(ctx context.Context, tx *sql.Tx, p Payment, v Verdict, voided bool) (Receipt, error) {
	receipt := Receipt{Outcome: OutcomeRefundRequired, Verdict: v}
	var paid int64
	if !voided {
		var err error
		if paid, _, err = exec(ctx, tx, payOrder, int64(p.OrderID)); err != nil {
			return Receipt{}, fmt.Errorf("pay order: %w", err)
		}
	}
	if paid == 1 {
		receipt.Outcome = OutcomePaid
	}
	fresh, _, err := exec(ctx, tx, insertPayment, []byte(p.EventID), int64(p.OrderID), p.AmountMinor, p.Currency, string(receipt.Outcome))
	if err != nil {
		return Receipt{}, fmt.Errorf("keep payment: %w", err)
	}
	if fresh == 0 {
		if receipt.Outcome, err = earlierOutcome(ctx, tx, p); err == nil && paid == 1 {
			err = fmt.Errorf("%w: event %s came before order %d was confirmed", ErrConflict, p.EventID, p.OrderID)
		}
		return receipt, err
	}
	if paid == 0 {
		return receipt, nil
	}
	_, seq, err := exec(ctx, tx, countChange, v.SaleID)
	if err != nil {
		return Receipt{}, fmt.Errorf("count change: %w", err)
	}
	receipt.Verdict.Status, receipt.Verdict.Seq = StatusPaid, uint64(seq)
	return receipt, writeChange(ctx, tx, Change{SaleID: v.SaleID, Seq: uint64(seq), Verdicts: []Verdict{receipt.Verdict}})
}

// earlierOutcome is that of an event which came before; ErrConflict when it
// was another payment.
func earlierOutcome(ctx context.Context, tx *sql.Tx, p Payment) (outcome Outcome, err error) {
	before := Payment{EventID: p.EventID}
	err = tx.QueryRowContext(ctx, `SELECT order_id, amount_minor, currency, outcome FROM payments WHERE event_id = ?`, []byte(p.EventID)).
		Scan(&before.OrderID, &before.AmountMinor, &before.Currency, &outcome)
	if err != nil {
		return "", fmt.Errorf("read payment: %w", err)
	}
	if before != p {
		return "", fmt.Errorf("%w: event %s was a payment of order %d", ErrConflict, p.EventID, before.OrderID)
	}
	return outcome, nil
}

// Unpaid reports whether a sale has a confirmed order. It may read every live
// order of the sale: not for a hot path.
func (s *Store) Unpaid(ctx context.Context, saleID int64) (bool, error) {
	var found bool
	err := s.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM orders WHERE sale_id = ? AND live = 1 AND status = 'confirmed')`, saleID).Scan(&found)
	if err != nil {
		return false, fmt.Errorf("order: unpaid orders of sale %d: %w", saleID, err)
	}
	return found, nil
}
