package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"seckill/order"
)

const recordColumns = `id, sale_id, shopper_id, slot, quantity, idem_key, reference, status, reason, unit_price, decided_at, pay_by`

// scanRecord reads recordColumns, and more columns after them.
func scanRecord(rows *sql.Rows, r *order.Record, more ...any) error {
	var payBy sql.NullTime
	err := rows.Scan(append([]any{
		&r.ID, &r.SaleID, &r.ShopperID, &r.Slot, &r.Quantity, &r.Key, &r.Reference,
		&r.Status, &r.Reason, &r.UnitPrice, &r.DecidedAt, &payBy,
	}, more...)...)
	r.PayBy = payBy.Time
	return err
}

func (s *Store) records(ctx context.Context, where string, args ...any) ([]order.Record, error) {
	var found []order.Record
	err := query(ctx, s.db, func(rows *sql.Rows) error {
		var r order.Record
		err := scanRecord(rows, &r)
		found = append(found, r)
		return err
	}, `SELECT `+recordColumns+` FROM orders WHERE `+where, args...)
	return found, err
}

// Find returns the rows of orders by ID, in any order. IDs without a row are left out.
func (s *Store) Find(ctx context.Context, ids []order.ID) ([]order.Record, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = int64(id)
	}
	found, err := s.records(ctx, `id IN (`+repeat("?", len(ids))+`)`, args...)
	if err != nil {
		return nil, fmt.Errorf("mysql: find %d: %w", len(ids), err)
	}
	return found, nil
}

// ByShopper returns a shopper's orders in a sale, newest first, from below an ID, or
// from the newest for 0.
func (s *Store) ByShopper(ctx context.Context, saleID int64, shopper string, before order.ID, limit int) ([]order.Record, error) {
	sales, err := s.terms(ctx, []order.Order{{SaleID: saleID}})
	if err != nil {
		return nil, fmt.Errorf("mysql: by shopper: %w", err)
	}
	if sales[saleID] == nil {
		return nil, nil // whose orders are all poison, and in no list
	}
	if before == 0 {
		before = order.ID(1<<63 - 1)
	}
	of := []any{saleID, []byte(shopper), int64(before)}
	parts, args := []string{liveIDs + repeat("?", sales[saleID].OrdersPerShopper) + `)`}, slices.Clone(of)
	for slot := range sales[saleID].OrdersPerShopper {
		args = append(args, slot)
	}
	for slot := range sales[saleID].OrdersPerShopper {
		parts = append(parts, `(`+deadIDs+`)`)
		args = append(append(args, of...), slot, limit)
	}
	found, err := s.records(ctx, `id IN (SELECT id FROM (`+strings.Join(parts, ` UNION ALL `)+`) p) ORDER BY id DESC LIMIT ?`, append(args, limit)...)
	if err != nil {
		return nil, fmt.Errorf("mysql: by shopper: %w", err)
	}
	return found, nil
}

// The parts of a shopper's list. The dead orders of one slot stand in the unique key by
// their IDs: MySQL reads as many as are asked for, MariaDB all of the key and sorts
// those, but only the rows that are asked for. A key of its own for the list would take
// MariaDB 30 % more CPU for each order.
const (
	ofShopper = `SELECT id FROM orders FORCE INDEX (orders_slot) WHERE sale_id = ? AND shopper_id = ? AND id < ? AND `
	liveIDs   = ofShopper + `live = 1 AND slot IN (`
	deadIDs   = ofShopper + `live IS NULL AND slot = ? ORDER BY id DESC LIMIT ?`
)

// Verdicts separates orders with a verdict from those without. It uses a row only if
// it has the order's sale and shopper, and then looks for the others among the dead
// letters. The verdicts have Seq 0.
func (s *Store) Verdicts(ctx context.Context, os []order.Order) (decided []order.Verdict, undecided []order.Order, err error) {
	ids := make([]order.ID, len(os))
	for i, o := range os {
		ids[i] = o.ID
	}
	found, err := s.Find(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	rows := make(map[order.ID]order.Record, len(found))
	for _, r := range found {
		rows[r.ID] = r
	}
	for _, o := range os {
		if r, ok := rows[o.ID]; ok && order.Same(r.Order, o) {
			decided = append(decided, r.Verdict())
		} else {
			undecided = append(undecided, o)
		}
	}
	if len(undecided) == 0 {
		return decided, nil, nil
	}
	reasons, err := s.deadLetterReasons(ctx, undecided)
	if err != nil {
		return nil, nil, err
	}
	undecided = slices.DeleteFunc(undecided, func(o order.Order) bool {
		reason, ok := reasons[identity(o)]
		if ok {
			decided = append(decided, order.Verdict{Order: o, Status: order.StatusRejected, Reason: reason})
		}
		return ok
	})
	return decided, undecided, nil
}

// identity returns o with the fields that identify it alone.
func identity(o order.Order) order.Order {
	return order.Order{ID: o.ID, SaleID: o.SaleID, ShopperID: o.ShopperID}
}

// deadLetterReasons returns the reasons of the orders whose verdict is a dead letter.
func (s *Store) deadLetterReasons(ctx context.Context, os []order.Order) (map[order.Order]order.Reason, error) {
	args := make([]any, len(os))
	for i, o := range os {
		args[i] = int64(o.ID)
	}
	reasons := make(map[order.Order]order.Reason)
	err := query(ctx, s.db, func(rows *sql.Rows) error {
		var o order.Order
		var reason order.Reason
		err := rows.Scan(&o.ID, &o.SaleID, &o.ShopperID, &reason)
		reasons[o] = reason
		return err
	}, `SELECT order_id, sale_id, shopper_id, reason FROM dead_letters WHERE message_id = '' AND order_id IN (`+repeat("?", len(os))+`)`, args...)
	if err != nil {
		return nil, fmt.Errorf("mysql: dead letters: %w", err)
	}
	return reasons, nil
}

// Changes returns the changes of a sale after a seq, in seq order. They have no gaps.
// If the first one is not after+1, the log was pruned.
func (s *Store) Changes(ctx context.Context, saleID int64, after uint64, limit int) ([]order.Change, error) {
	var cs []order.Change
	err := query(ctx, s.db, func(rows *sql.Rows) error {
		var seq uint64
		var body, returned, refund sql.RawBytes
		if err := rows.Scan(&seq, &body, &returned, &refund); err != nil {
			return err
		}
		c, err := decodeChange(saleID, seq, body, returned, refund)
		cs = append(cs, c)
		return err
	}, `SELECT seq, changes, returned, refund FROM sale_changes WHERE sale_id = ? AND seq > ? ORDER BY seq LIMIT ?`, saleID, after, limit)
	if err != nil {
		return nil, fmt.Errorf("mysql: changes of sale %d: %w", saleID, err)
	}
	return cs, nil
}

func decodeChange(saleID int64, seq uint64, body, returned, refund []byte) (order.Change, error) {
	c, err := order.DecodeChange(saleID, seq, body, returned)
	if err == nil {
		c.Refund, err = order.DecodeRefund(refund)
	}
	return c, err
}
