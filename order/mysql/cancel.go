package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"seckill/order"
)

// Cancel takes a confirmed order back: its units and its slot are free again.
// The verdict is that of the order, with its Seq when this call cancelled it;
// an order that is cancelled already is no error. The errors are ErrNotFound,
// and ErrConflict with the verdict when the order is paid or rejected.
func (s *Store) Cancel(ctx context.Context, id order.ID) (order.Verdict, error) {
	return s.CancelAs(ctx, order.Operator{}, "", id)
}

// CancelAs is Cancel by an operator, under the name of a command for the audit
// log.
func (s *Store) CancelAs(ctx context.Context, by order.Operator, cmd string, id order.ID) (order.Verdict, error) {
	vs, err := s.cancel(ctx, "cancel", func(ctx context.Context, tx *sql.Tx) ([]order.Verdict, error) {
		vs, err := cancelled(ctx, tx, []order.ID{id}, cancelOrders)
		if err == nil && len(vs) == 1 {
			err = writeAudit(ctx, tx, order.CancelEntry(by, cmd, vs[0]))
		}
		return vs, err
	})
	if err != nil {
		return order.Verdict{}, err
	}
	if len(vs) == 1 {
		return vs[0], nil
	}
	r, err := s.find(ctx, id)
	if err != nil {
		return order.Verdict{}, fmt.Errorf("mysql: cancel %d: %w", id, err)
	}
	return r.Verdict(), r.CheckCancelled()
}

func (s *Store) find(ctx context.Context, id order.ID) (order.Record, error) {
	found, err := s.Find(ctx, []order.ID{id})
	if err == nil && len(found) == 0 {
		err = order.ErrNotFound
	}
	if err != nil {
		return order.Record{}, err
	}
	return found[0], nil
}

// Expire cancels orders of a sale that are unpaid although their time is over,
// by the server's clock, or that are unpaid at all where the sale is voided: those confirmed by its changes after a seq, at most
// 256 in one transaction. It finds them by the log, which has them nearly in
// the order in which they are due, so that no insert pays for an index; the
// log must not be pruned past what this returns. Any number of processes may
// call it: an order is cancelled once.
func (s *Store) Expire(ctx context.Context, saleID int64, after uint64) (order.Expiry, error) {
	page, confirmed, err := s.expiryPage(ctx, saleID, after)
	if err != nil {
		return order.Expiry{}, err
	}
	if len(page) == 0 { // what is confirmed from now on has all its time
		sales, err := s.terms(ctx, []order.Order{{SaleID: saleID}})
		var payWithin time.Duration
		if sale := sales[saleID]; sale != nil {
			payWithin = sale.PayWithin
		}
		return order.NothingToExpire(after, payWithin), err
	}
	sale, err := s.Sale(ctx, saleID) // not from memory: what an operator has decided holds at once
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
			return cancelled(ctx, tx, due, cancelOrders)
		}
		vs, err := cancelled(ctx, tx, due, expireOrders, seconds(sale.LeastToPay()))
		if err == nil && len(vs) > 0 {
			err = notExtended(ctx, tx, sale)
		}
		return vs, err
	})
	if errors.Is(err, order.ErrStale) {
		return order.Expiry{Seq: after}, nil // the next look goes by the new terms
	}
	return e, err
}

// expiryPage reads what one look takes. It begins with a few changes: one holds
// one order, or hundreds, and 256 full ones 65,000.
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

// notExtended is ErrStale when the shoppers of sale have been given more time
// since it was read. The transaction has changed the sale's row: whoever extends
// it from now on waits, and comes after the orders' end.
func notExtended(ctx context.Context, tx *sql.Tx, sale order.Sale) error {
	now, err := readSale(ctx, tx, `WHERE id = ? FOR UPDATE`, sale.ID)
	if err == nil && now.LeastToPay() > sale.LeastToPay() {
		err = fmt.Errorf("%w: sale %d was extended", order.ErrStale, sale.ID)
	}
	return err
}

// unpaid returns how much longer the confirmed ones of the orders may be so.
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

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

func idArgs(ids []order.ID) []any {
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = int64(id)
	}
	return args
}

const (
	// The key: as for rejectOrders. The attempt tells which rows this changed.
	cancelOrders = `UPDATE orders FORCE INDEX (PRIMARY) SET live = NULL, status = 'cancelled', decided_at = NOW(3), attempt = ?
		WHERE status = 'confirmed' AND id IN (`
	expireOrders = `UPDATE orders FORCE INDEX (PRIMARY) SET live = NULL, status = 'cancelled', decided_at = NOW(3), attempt = ?
		WHERE status = 'confirmed' AND pay_by <= NOW(3) AND decided_at + INTERVAL ? SECOND <= NOW(3) AND id IN (`
	returnUnits = `UPDATE sales SET available = available + ?, seq = LAST_INSERT_ID(seq + 1) WHERE id = ?`
)

// cancel runs change in a transaction and returns the orders that it cancelled.
// A transaction whose COMMIT was not answered and succeeded has cancelled them
// before: then it returns none, and the tail tells Redis.
func (s *Store) cancel(ctx context.Context, what string, change func(context.Context, *sql.Tx) ([]order.Verdict, error)) (vs []order.Verdict, err error) {
	err = s.retry(ctx, what, func(int) error {
		return s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			vs, err = change(ctx, tx)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return vs, nil
}

// cancelled runs an update over orders in ID order and returns those that it
// changed.
func cancelled(ctx context.Context, tx *sql.Tx, ids []order.ID, update string, args ...any) ([]order.Verdict, error) {
	attempt := rand.Uint64()
	n, _, err := exec(ctx, tx, update+repeat("?", len(ids))+`)`, slices.Concat([]any{attempt}, args, idArgs(ids))...)
	if err != nil || n == 0 {
		return nil, err
	}
	var all []*order.Verdict
	err = query(ctx, tx, func(rows *sql.Rows) error {
		var r order.Record
		err := scanRecord(rows, &r)
		v := r.Verdict()
		all = append(all, &v)
		return err
	}, `SELECT `+recordColumns+` FROM orders FORCE INDEX (PRIMARY) WHERE attempt = ? AND id IN (`+repeat("?", len(ids))+`)`,
		append([]any{attempt}, idArgs(ids)...)...)
	if err != nil {
		return nil, fmt.Errorf("read back: %w", err)
	}
	var vs []order.Verdict
	for saleID, group := range order.BySale(all) {
		c, err := giveBack(ctx, tx, saleID, group)
		if err != nil {
			return nil, err
		}
		vs = append(vs, c.Verdicts...)
	}
	return vs, nil
}

// giveBack returns the units of cancelled orders to their sale, and writes the
// change.
func giveBack(ctx context.Context, tx *sql.Tx, saleID int64, vs []*order.Verdict) (order.Change, error) {
	units := 0
	for _, v := range vs {
		units += v.Quantity
	}
	_, seq, err := exec(ctx, tx, returnUnits, units, saleID)
	if err != nil {
		return order.Change{}, fmt.Errorf("give back: %w", err)
	}
	c := order.NewChange(saleID, uint64(seq), vs)
	return c, writeChange(ctx, tx, c)
}
