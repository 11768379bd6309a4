package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"slices"

	"seckill/order"
)

// Cancel cancels a confirmed order for its shopper, who has returned it then: its
// units and its slot are free again. The verdict has its Seq if this call cancelled
// the order; an order that is cancelled already is no error. The errors are
// ErrNotFound, and ErrConflict with the verdict if the order is paid or rejected.
func (s *Store) Cancel(ctx context.Context, id order.ID) (order.Verdict, error) {
	return s.CancelAs(ctx, order.Operator{}, "", id)
}

// CancelAs is Cancel by an operator, which does not count as returned; cmd is the
// command's name in the audit log.
func (s *Store) CancelAs(ctx context.Context, by order.Operator, cmd string, id order.ID) (order.Verdict, error) {
	vs, err := s.cancel(ctx, "cancel", func(ctx context.Context, tx *sql.Tx) ([]order.Verdict, error) {
		vs, err := cancelled(ctx, tx, []order.ID{id}, by.IsZero(), cancelOrders)
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

const (
	// The primary key: as for rejectOrders. The attempt marks the rows that changed.
	cancelOrders = `UPDATE orders FORCE INDEX (PRIMARY) SET live = NULL, status = 'cancelled', decided_at = NOW(3), attempt = ?
		WHERE status = 'confirmed' AND id IN (`
	expireOrders = `UPDATE orders FORCE INDEX (PRIMARY) SET live = NULL, status = 'cancelled', decided_at = NOW(3), attempt = ?
		WHERE status = 'confirmed' AND pay_by <= NOW(3) AND decided_at + INTERVAL ? SECOND <= NOW(3) AND id IN (`
	returnUnits = `UPDATE sales SET available = available + ?, most_returned = GREATEST(most_returned, ?), seq = LAST_INSERT_ID(seq + 1) WHERE id = ?`
)

// cancel runs change in a transaction and returns the orders that it cancelled. If a
// COMMIT succeeded without an answer, the next try returns none, and the tail tells
// Redis.
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

// cancelled runs an update on orders in ID order and returns those that it changed.
// They count as returned by their shoppers, or not.
func cancelled(ctx context.Context, tx *sql.Tx, ids []order.ID, returned bool, update string, args ...any) ([]order.Verdict, error) {
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
		c, err := giveBack(ctx, tx, saleID, group, returned)
		if err != nil {
			return nil, err
		}
		vs = append(vs, c.Verdicts...)
	}
	return vs, nil
}

// giveBack returns the units of cancelled orders to their sale, and writes the
// change.
func giveBack(ctx context.Context, tx *sql.Tx, saleID int64, vs []*order.Verdict, returned bool) (order.Change, error) {
	units, most := 0, 0
	for _, v := range vs {
		units += v.Quantity
	}
	if returned {
		var err error
		if most, err = countReturned(ctx, tx, saleID, vs); err != nil {
			return order.Change{}, err
		}
	}
	_, seq, err := exec(ctx, tx, returnUnits, units, most, saleID)
	if err != nil {
		return order.Change{}, fmt.Errorf("give back: %w", err)
	}
	c := order.NewChange(saleID, uint64(seq), vs)
	return c, writeChange(ctx, tx, c)
}
