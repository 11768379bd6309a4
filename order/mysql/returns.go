package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"seckill/order"
)

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
