package mysql

import (
	"context"
	"database/sql"
	"fmt"

	"seckill/order"
)

// assignSlots gives each of vs that is to be confirmed a free slot, or rejects
// it. The orders that hold the slots were locked by the INSERT that met them.
func (t *settling) assignSlots(ctx context.Context, vs []*order.Verdict) error {
	for saleID, vs := range order.BySale(vs) {
		sale := t.sales[saleID]
		if sale == nil {
			continue // all of vs are rejected
		}
		held, err := t.liveOrders(ctx, saleID, vs)
		if err != nil {
			return err
		}
		sale.AssignSlots(vs, held)
	}
	return nil
}

const readLive = `SELECT id, shopper_id, slot, idem_key FROM orders WHERE sale_id = ? AND live = 1 AND shopper_id IN (`

// liveOrders returns the live orders of the shoppers of vs in one sale, by
// shopper; only ID, slot and key are set.
func (t *settling) liveOrders(ctx context.Context, saleID int64, vs []*order.Verdict) (map[string][]order.Order, error) {
	args := make([]any, 1, 1+len(vs))
	args[0] = saleID
	for _, v := range vs {
		args = append(args, v.ShopperID)
	}
	held := make(map[string][]order.Order, len(vs))
	err := query(ctx, t.tx, func(rows *sql.Rows) error {
		var o order.Order
		err := rows.Scan(&o.ID, &o.ShopperID, &o.Slot, &o.Key)
		held[o.ShopperID] = append(held[o.ShopperID], o)
		return err
	}, readLive+repeat("?", len(vs))+`)`, args...)
	if err != nil {
		return nil, fmt.Errorf("read live orders: %w", err)
	}
	return held, nil
}
