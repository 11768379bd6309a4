package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"seckill/order"
)

const (
	payOrder      = `UPDATE orders SET status = 'paid', decided_at = NOW(3) WHERE id = ? AND status = 'confirmed'`
	lockStatus    = `SELECT status FROM orders WHERE id = ? FOR UPDATE`
	insertPayment = `INSERT INTO payments (event_id, order_id, sale_id, shopper_id, amount_minor, currency, outcome, reason, received_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, NOW(3)) ON DUPLICATE KEY UPDATE event_id = payments.event_id`
	correctPayment = `UPDATE payments SET amount_minor = ?, currency = ?, outcome = ?, reason = ? WHERE event_id = ?`
	countChange    = `UPDATE sales SET seq = LAST_INSERT_ID(seq + 1) WHERE id = ?`
)

// Pay records a payment. If the order is confirmed and its sale not voided, the order
// is paid; else a refund is required, and the sale's log of changes has it, too. The
// same event has the same outcome again. The errors are ErrInvalid, ErrNotFound while
// the order has no verdict, and ErrConflict if the event was another payment: nothing is
// recorded then. ErrAmount is returned for a payment that is recorded as one to be
// refunded; the same event with the right amount takes its place.
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
	var receipt order.Receipt
	err = s.retry(ctx, "pay", func(int) error {
		return s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			receipt, err = pay(ctx, tx, p, r, sale)
			return err
		})
	})
	if err == nil && receipt.Reason == order.RefundWrongAmount {
		err = p.CheckAmount(r, sale)
	}
	return receipt, err
}

// pay decides by the order's row, which it locks before it checks whether the event is
// new, and before it takes the sale's next seq: a later change of the order has a later
// one. Only the status confirmed ever changes, and a voided sale stays voided, so an
// event that requires a refund once always requires it.
func pay(ctx context.Context, tx *sql.Tx, p order.Payment, r order.Record, sale *order.Sale) (order.Receipt, error) {
	var paid int64
	var err error
	if reason := p.RefundReason(r, sale); reason == "" {
		if paid, _, err = exec(ctx, tx, payOrder, int64(p.OrderID)); err != nil {
			return order.Receipt{}, fmt.Errorf("pay order: %w", err)
		}
	}
	receipt := order.Receipt{Outcome: order.OutcomePaid}
	if paid == 0 {
		if err := tx.QueryRowContext(ctx, lockStatus, int64(p.OrderID)).Scan(&r.Status); err != nil {
			return order.Receipt{}, fmt.Errorf("lock order: %w", err)
		}
		receipt = order.Receipt{Outcome: order.OutcomeRefundRequired, Reason: p.RefundReason(r, sale)}
	}
	receipt.Verdict = r.Verdict()
	fresh, _, err := exec(ctx, tx, insertPayment, []byte(p.EventID), int64(p.OrderID), r.SaleID, []byte(r.ShopperID),
		p.AmountMinor, p.Currency, string(receipt.Outcome), []byte(receipt.Reason))
	if err != nil {
		return order.Receipt{}, fmt.Errorf("record payment: %w", err)
	}
	if fresh == 0 {
		again, err := repeated(ctx, tx, p, receipt)
		if err != nil || again.Outcome != "" {
			return again, err
		}
	}
	if sale == nil { // it has no log
		return receipt, nil
	}
	_, seq, err := exec(ctx, tx, countChange, r.SaleID)
	if err != nil {
		return order.Receipt{}, fmt.Errorf("count change: %w", err)
	}
	if paid == 0 {
		receipt.RefundSeq = uint64(seq)
		return receipt, writeChange(ctx, tx, order.Change{SaleID: r.SaleID, Seq: uint64(seq), Refund: order.NewRefund(p, receipt.Reason, r)})
	}
	receipt.Verdict.Status = order.StatusPaid
	err = writeChange(ctx, tx, order.NewChange(r.SaleID, uint64(seq), []*order.Verdict{&receipt.Verdict})) // sets its Seq
	return receipt, err
}

// repeated returns what to answer to an event that is recorded, where now is the receipt
// of a new one. An empty Receipt means that this is the corrected payment, and in its
// place.
func repeated(ctx context.Context, tx *sql.Tx, p order.Payment, now order.Receipt) (order.Receipt, error) {
	before, err := readPayment(ctx, tx, p.EventID)
	if err != nil {
		return order.Receipt{}, err
	}
	switch {
	case before.CorrectedBy(p, now.Reason):
		_, _, err = exec(ctx, tx, correctPayment, p.AmountMinor, p.Currency, string(now.Outcome), []byte(now.Reason), []byte(p.EventID))
		return order.Receipt{}, err
	case now.Reason == order.RefundWrongAmount && before.Reason == order.RefundWrongAmount:
		return now, nil
	}
	if err := p.Repeats(before.Payment); err != nil {
		return order.Receipt{}, err
	}
	if now.Outcome == order.OutcomePaid {
		return order.Receipt{}, fmt.Errorf("%w: event %s came before order %d was confirmed", order.ErrConflict, p.EventID, p.OrderID)
	}
	now.Outcome, now.Reason = before.Outcome, before.Reason
	return now, nil
}

const paymentColumns = `event_id, order_id, sale_id, shopper_id, amount_minor, currency, outcome, reason, received_at, refunded_at`

func scanPayment(row interface{ Scan(...any) error }) (p order.PaymentRecord, err error) {
	var refunded sql.NullTime
	err = row.Scan(&p.EventID, &p.OrderID, &p.SaleID, &p.ShopperID, &p.AmountMinor, &p.Currency, &p.Outcome, &p.Reason, &p.ReceivedAt, &refunded)
	p.RefundedAt = refunded.Time
	return p, err
}

// readPayment reads a payment that the transaction keeps locked. The error is
// ErrNotFound if there is none.
func readPayment(ctx context.Context, tx *sql.Tx, event string) (order.PaymentRecord, error) {
	p, err := scanPayment(tx.QueryRowContext(ctx, `SELECT `+paymentColumns+` FROM payments WHERE event_id = ? FOR UPDATE`, []byte(event)))
	if errors.Is(err, sql.ErrNoRows) {
		return p, fmt.Errorf("payment %s: %w", event, order.ErrNotFound)
	}
	if err != nil {
		return p, fmt.Errorf("read payment: %w", err)
	}
	return p, nil
}

// Payments returns recorded payments, newest first. The error is ErrNotFound if there is
// no event Before. Each query reads one range of an index; of a sale's payments that are
// to be refunded, that of all sales, because there are few.
func (s *Store) Payments(ctx context.Context, q order.PaymentQuery) (found []order.PaymentRecord, err error) {
	index, where, args := `payments_received`, []string{`1 = 1`}, []any{}
	for _, c := range []struct {
		wanted     bool
		index, sql string
		arg        any
	}{
		{q.SaleID != 0, `payments_sale`, `sale_id = ?`, q.SaleID},
		{q.RefundDue, `payments_refund`, `outcome = ? AND refunded_at IS NULL`, string(order.OutcomeRefundRequired)},
		{q.ShopperID != "", `payments_shopper`, `shopper_id = ?`, []byte(q.ShopperID)},
		{q.OrderID != 0, `payments_order`, `order_id = ?`, int64(q.OrderID)},
	} {
		if c.wanted {
			index, where, args = c.index, append(where, c.sql), append(args, c.arg)
		}
	}
	if q.Before != "" {
		var at time.Time
		err := s.db.QueryRowContext(ctx, `SELECT received_at FROM payments WHERE event_id = ?`, []byte(q.Before)).Scan(&at)
		if errors.Is(err, sql.ErrNoRows) {
			err = fmt.Errorf("payment %s: %w", q.Before, order.ErrNotFound)
		}
		if err != nil {
			return nil, fmt.Errorf("mysql: payments: %w", err)
		}
		where = append(where, `received_at <= ? AND (received_at < ? OR event_id < ?)`)
		args = append(args, at, at, []byte(q.Before))
	}
	err = query(ctx, s.db, func(rows *sql.Rows) error {
		p, err := scanPayment(rows)
		found = append(found, p)
		return err
	}, `SELECT `+paymentColumns+` FROM payments FORCE INDEX (`+index+`) WHERE `+strings.Join(where, ` AND `)+
		` ORDER BY received_at DESC, event_id DESC LIMIT ?`, append(args, q.Limit)...)
	if err != nil {
		return nil, fmt.Errorf("mysql: payments: %w", err)
	}
	return found, nil
}

// Refunded records that the money of a payment was returned, once, and returns the
// payment. cmd is the command's name in the audit log. The errors are ErrNotFound, and
// ErrConflict for a payment that is not to be refunded.
func (s *Store) Refunded(ctx context.Context, by order.Operator, cmd, event string) (p order.PaymentRecord, err error) {
	err = s.retry(ctx, "refunded", func(int) error {
		return s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			if p, err = readPayment(ctx, tx, event); err != nil {
				return err
			}
			if err := p.CheckRefund(); err != nil || !p.RefundDue() {
				return err
			}
			if _, _, err := exec(ctx, tx, `UPDATE payments SET refunded_at = NOW(3) WHERE event_id = ?`, []byte(event)); err != nil {
				return err
			}
			if p, err = readPayment(ctx, tx, event); err != nil {
				return err
			}
			return writeAudit(ctx, tx, p.RefundedEntry(by, cmd))
		})
	})
	return p, err
}

// maxCounted bounds what OpenRefunds counts: more would be just as bad.
const maxCounted = 10_000

// OpenRefunds counts the payments of all sales that are yet to be refunded, up to 10,000
// of them, oldest first.
func (s *Store) OpenRefunds(ctx context.Context) (n order.RefundCount, err error) {
	var micros int64
	err = s.db.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(TIMESTAMPDIFF(MICROSECOND, MIN(received_at), NOW(3)), 0) FROM (
		SELECT received_at FROM payments FORCE INDEX (payments_refund) WHERE outcome = 'refund_required' AND refunded_at IS NULL
		ORDER BY received_at LIMIT ?) AS counted`, maxCounted).Scan(&n.Payments, &micros)
	if err != nil {
		return n, fmt.Errorf("mysql: open refunds: %w", err)
	}
	n.Oldest = time.Duration(max(0, micros)) * time.Microsecond
	return n, nil
}

// adoptPage is how many payments AdoptPayments fills in at once.
const adoptPage = 500

// AdoptPayments fills in sale, shopper and reason of payments that the version before
// has recorded. It returns how many there were: at most 500.
func (s *Store) AdoptPayments(ctx context.Context) (int, error) {
	var events []any
	err := query(ctx, s.db, func(rows *sql.Rows) error {
		var event []byte
		err := rows.Scan(&event)
		events = append(events, event)
		return err
	}, `SELECT event_id FROM payments WHERE sale_id = 0 LIMIT ?`, adoptPage)
	if err == nil && len(events) > 0 {
		_, _, err = exec(ctx, s.db, `UPDATE payments p LEFT JOIN orders o ON o.id = p.order_id
			SET p.sale_id = COALESCE(o.sale_id, -1), p.shopper_id = COALESCE(o.shopper_id, ''),
				p.reason = IF(p.outcome = 'paid', '', IF(o.status = 'confirmed', 'voided', COALESCE(o.status, '')))
			WHERE p.event_id IN (`+repeat("?", len(events))+`)`, events...)
	}
	if err != nil {
		return 0, fmt.Errorf("mysql: adopt payments: %w", err)
	}
	return len(events), nil
}
