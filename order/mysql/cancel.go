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
// units and its slot are free again. The
// verdict has its Seq if this call cancelled the order; an order that is cancelled
// already is no error. The errors are ErrNotFound, and ErrConflict with the verdict
// if the order is paid or rejected.
func (s *Store) Cancel(ctx context.Context, id order.ID) (order.Verdict, error) {
	return s.CancelAs(ctx, order.Operator{}, "", id)
}

// CancelAs is Cancel by an operator, which does not count as returned; cmd is the command's name in the audit log.
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

const (
	// In the order of shoppers: two transactions then wait for each other in one order.
	countReturns = `INSERT INTO sale_returns (sale_id, shopper_id, orders, units, last_at) VALUES `
	countReturn  = `(?, ?, ?, ?, NOW(3))`
	addReturns   = ` ON DUPLICATE KEY UPDATE orders = LEAST(sale_returns.orders + VALUES(orders), ?),
		units = sale_returns.units + VALUES(units), last_at = VALUES(last_at)`
	readReturned = `SELECT shopper_id, orders FROM sale_returns WHERE sale_id = ? AND shopper_id IN (`
)

// countReturned counts cancelled orders of one sale as returned by their shoppers, and
// returns the highest count. It comes before the sale's row is locked: whoever holds
// that lock sees the counts of all cancellations that are committed or will be.
func countReturned(ctx context.Context, tx *sql.Tx, saleID int64, vs []*order.Verdict) (most int, err error) {
	sums := make(map[string]order.Returns, len(vs))
	for _, v := range vs {
		r := sums[v.ShopperID]
		sums[v.ShopperID] = order.Returns{Orders: r.Orders + 1, Units: r.Units + int64(v.Quantity)}
	}
	shoppers := shoppersOf(vs)
	args := make([]any, 0, 4*len(shoppers)+1)
	for _, s := range shoppers {
		args = append(args, saleID, s, sums[s].Orders, sums[s].Units)
	}
	if _, _, err = exec(ctx, tx, countReturns+repeat(countReturn, len(shoppers))+addReturns, append(args, order.MaxReturns)...); err != nil {
		return 0, fmt.Errorf("count returns: %w", err)
	}
	returned, err := returnedBy(ctx, tx, saleID, vs)
	for _, n := range returned {
		most = max(most, n)
	}
	order.Number(vs, returned)
	return most, err
}

// returnedBy returns how many orders of a sale the shoppers of vs have returned; none
// for those who returned nothing.
func returnedBy(ctx context.Context, tx *sql.Tx, saleID int64, vs []*order.Verdict) (map[string]int, error) {
	shoppers := shoppersOf(vs)
	args := make([]any, 1, 1+len(shoppers))
	args[0] = saleID
	for _, s := range shoppers {
		args = append(args, s)
	}
	returned := make(map[string]int)
	err := query(ctx, tx, func(rows *sql.Rows) error {
		var shopper string
		var n int
		err := rows.Scan(&shopper, &n)
		returned[shopper] = n
		return err
	}, readReturned+repeat("?", len(shoppers))+`)`, args...)
	if err != nil {
		return nil, fmt.Errorf("read returns: %w", err)
	}
	return returned, nil
}

// shoppersOf returns the shoppers of vs, sorted, each once.
func shoppersOf(vs []*order.Verdict) []string {
	shoppers := make([]string, len(vs))
	for i, v := range vs {
		shoppers[i] = v.ShopperID
	}
	slices.Sort(shoppers)
	return slices.Compact(shoppers)
}

// readReturns passes the returns of a sale to page, by shopper.
func readReturns(ctx context.Context, tx *sql.Tx, saleID int64, page func([]order.Returns) error) error {
	rs := make([]order.Returns, 0, order.SnapshotPage)
	err := query(ctx, tx, func(rows *sql.Rows) error {
		if len(rs) == order.SnapshotPage {
			if err := page(rs); err != nil {
				return err
			}
			rs = rs[:0]
		}
		var r order.Returns
		err := rows.Scan(&r.ShopperID, &r.Orders, &r.Units, &r.At)
		rs = append(rs, r)
		return err
	}, `SELECT shopper_id, orders, units, last_at FROM sale_returns WHERE sale_id = ? ORDER BY shopper_id`, saleID)
	if err != nil || len(rs) == 0 {
		return err
	}
	return page(rs)
}

// returnedTimes counts the shoppers of a sale by how many orders they returned.
func returnedTimes(ctx context.Context, tx *sql.Tx, saleID int64) (found []order.ReturnedTimes, err error) {
	err = query(ctx, tx, func(rows *sql.Rows) error {
		var r order.ReturnedTimes
		err := rows.Scan(&r.Times, &r.Shoppers, &r.Orders, &r.Units)
		found = append(found, r)
		return err
	}, `SELECT LEAST(orders, ?) AS times, COUNT(*), SUM(orders), SUM(units) FROM sale_returns WHERE sale_id = ? GROUP BY times ORDER BY times`,
		order.LastTimes, saleID)
	return found, err
}
