package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"seckill/order"
)

// Expire cancels orders of a sale whose time to pay is over by the server's clock,
// or all unpaid orders if the sale is voided: those confirmed by its changes after a
// seq, at most 256 in one transaction. It finds them in the log of changes, which
// has them nearly in the order in which they are due, so that no insert pays for an
// index. The log must not be pruned past the returned Seq. Any number of processes
// may call it: an order is cancelled once.
func (s *Store) Expire(ctx context.Context, saleID int64, after uint64) (order.Expiry, error) {
	page, confirmed, err := s.expiryPage(ctx, saleID, after)
	if err != nil {
		return order.Expiry{}, err
	}
	if len(page) == 0 { // orders confirmed from now on have all their time
		sales, err := s.terms(ctx, []order.Order{{SaleID: saleID}})
		var payWithin time.Duration
		if sale := sales[saleID]; sale != nil {
			payWithin = sale.PayWithin
		}
		return order.NothingToExpire(after, payWithin), err
	}
	sale, err := s.Sale(ctx, saleID) // not remembered: what an operator decided holds at once
	if err != nil {
		return order.Expiry{}, err
	}
	left, err := s.unpaid(ctx, sale, confirmed)
	if err != nil {
		return order.Expiry{}, fmt.Errorf("mysql: unpaid orders of sale %d: %w", saleID, err)
	}
	e, due := order.PlanExpiry(after, page, left)
	if len(due) == 0 {
		return e, nil
	}
	e.Verdicts, err = s.cancel(ctx, "expire", func(ctx context.Context, tx *sql.Tx) ([]order.Verdict, error) {
		if sale.Voided {
			return cancelled(ctx, tx, due, false, cancelOrders)
		}
		vs, err := cancelled(ctx, tx, due, true, expireOrders, seconds(sale.LeastToPay()))
		if err == nil && len(vs) > 0 {
			err = notExtended(ctx, tx, sale)
		}
		return vs, err
	})
	if errors.Is(err, order.ErrStale) {
		return order.Expiry{Seq: after}, nil // the next scan uses the new terms
	}
	return e, err
}

// expiryPage reads the changes of one scan. It begins with few: a change has one
// order, or hundreds, and 256 full ones have 65,000.
func (s *Store) expiryPage(ctx context.Context, saleID int64, after uint64) (page []order.Change, confirmed []order.ID, err error) {
	var cs []order.Change
	for n := order.ExpiryFirst; ; n = min(4*n, order.ExpiryChanges-len(cs)) {
		more, err := s.Changes(ctx, saleID, after, n)
		if err != nil {
			return nil, nil, err
		}
		cs = append(cs, more...)
		page, confirmed = order.ExpiryPage(cs)
		if len(confirmed) >= order.ExpiryOrders || len(more) < n || len(cs) == order.ExpiryChanges {
			return page, confirmed, nil
		}
		after = cs[len(cs)-1].Seq
	}
}

// notExtended returns ErrStale if the shoppers of sale got more time since it was
// read. The transaction has locked the sale's row, so that a later extension waits
// until the orders are cancelled.
func notExtended(ctx context.Context, tx *sql.Tx, sale order.Sale) error {
	now, err := readSale(ctx, tx, `WHERE id = ? FOR UPDATE`, sale.ID)
	if err == nil && now.LeastToPay() > sale.LeastToPay() {
		err = fmt.Errorf("%w: sale %d was extended", order.ErrStale, sale.ID)
	}
	return err
}

// unpaid returns the remaining time to pay of those orders that are confirmed.
func (s *Store) unpaid(ctx context.Context, sale order.Sale, ids []order.ID) (map[order.ID]time.Duration, error) {
	if len(ids) == 0 {
		return nil, nil //nolint:nilnil // no orders, none unpaid
	}
	left := make(map[order.ID]time.Duration, len(ids))
	err := query(ctx, s.db, func(rows *sql.Rows) error {
		var r order.Record
		var now time.Time
		err := rows.Scan(&r.ID, &r.DecidedAt, &r.PayBy, &now)
		left[r.ID] = sale.TimeToPay(r, now)
		return err
	}, `SELECT id, decided_at, pay_by, NOW(3) FROM orders FORCE INDEX (PRIMARY)
		WHERE id IN (`+repeat("?", len(ids))+`) AND status = 'confirmed'`, idArgs(ids)...)
	return left, err
}

// Unpaid reports whether a sale has a confirmed order. It may read every live order
// of the sale, so it is not for a hot path.
func (s *Store) Unpaid(ctx context.Context, saleID int64) (bool, error) {
	var found bool
	err := s.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM orders WHERE sale_id = ? AND live = 1 AND status = 'confirmed')`, saleID).Scan(&found)
	if err != nil {
		return false, fmt.Errorf("mysql: unpaid orders of sale %d: %w", saleID, err)
	}
	return found, nil
}

// ExtendPage moves pay_by of a sale's unpaid orders forward to its PayWithin, among
// the next 256 rows after an ID, of all sales. It returns where to continue, or 0 at
// the end; after 0 means from the beginning of the sale. Any number of processes may
// call it, any number of times.
func (s *Store) ExtendPage(ctx context.Context, sale order.Sale, after order.ID) (next order.ID, err error) {
	after = order.FirstOrder(sale.ID, after)
	var scanned int
	err = s.db.QueryRowContext(ctx, `SELECT COALESCE(MAX(id), 0), COUNT(*) FROM (SELECT id FROM orders FORCE INDEX (PRIMARY)
		WHERE id > ? ORDER BY id LIMIT ?) p`, int64(after), order.ExtendPage).Scan(&next, &scanned)
	if err == nil && scanned > 0 {
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
	if scanned < order.ExtendPage {
		next = 0
	}
	return next, nil
}

// Extended records that all rows of a sale have its PayWithin, unless the sale has
// another PayWithin by now.
func (s *Store) Extended(ctx context.Context, sale order.Sale) error {
	_, _, err := s.exec(ctx, `UPDATE sales SET extending = 0 WHERE id = ? AND pay_within = ?`, sale.ID, seconds(sale.PayWithin))
	if err != nil {
		return fmt.Errorf("mysql: extend pay of sale %d: %w", sale.ID, err)
	}
	return nil
}
