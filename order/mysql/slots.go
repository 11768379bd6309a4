package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"seckill/order"
)

// terms are what a sale says of its orders. All but the last two are fixed once
// it is open.
type terms struct {
	slots     int // orders per shopper
	units     int // per order
	price     int64
	currency  string
	payWithin time.Duration
	voided    bool

	read time.Time
}

// termsFor is how long terms are believed: what operators change of them is in
// force everywhere within a second.
const termsFor = time.Second

// saleTerms returns the terms of the sales that the orders name, not older than
// a second; those that do not exist are left out.
func (s *Store) saleTerms(ctx context.Context, orders []order.Order) (map[int64]terms, error) {
	known := make(map[int64]terms, 1)
	var missing []any
	for _, o := range orders {
		if _, ok := known[o.SaleID]; ok || slices.Contains(missing, any(o.SaleID)) {
			continue
		}
		if t, ok := s.terms.Get(o.SaleID); ok && time.Since(t.read) < termsFor {
			known[o.SaleID] = t
		} else {
			missing = append(missing, o.SaleID)
		}
	}
	if len(missing) == 0 {
		return known, nil
	}
	asked := time.Now()
	err := query(ctx, s.db, func(rows *sql.Rows) error {
		sale, err := scanSale(rows)
		t := terms{
			slots: sale.OrdersPerShopper, units: sale.UnitsPerOrder, price: sale.PriceMinor, currency: sale.Currency,
			payWithin: sale.PayWithin, voided: sale.Voided, read: asked,
		}
		known[sale.ID] = t
		if sale.State != order.SaleScheduled { // anything may change until it is open
			s.terms.Add(sale.ID, t)
		}
		return err
	}, `SELECT `+saleColumns+` FROM sales WHERE id IN (`+repeat("?", len(missing))+`)`, missing...)
	if err != nil {
		return nil, fmt.Errorf("terms: %w", err)
	}
	return known, nil
}

// slotExists reports whether v needs no other slot, as far as its sale's terms
// tell.
func (t *settling) slotExists(v *order.Verdict) bool {
	return v.Status != order.StatusConfirmed || v.Slot >= 0 && v.Slot < t.terms[v.SaleID].slots
}

// place gives each of vs that is to be confirmed a slot that is free, its own
// if it can be, or rejects it. The orders that hold the slots were locked by
// the INSERT that met them.
func (t *settling) place(ctx context.Context, vs []*order.Verdict) error {
	wanting := slices.DeleteFunc(slices.Clone(vs), func(v *order.Verdict) bool { return v.Status != order.StatusConfirmed })
	for saleID, vs := range bySale(wanting) {
		held, err := t.liveOrders(ctx, saleID, vs)
		if err != nil {
			return err
		}
		for _, v := range vs {
			slot := freeSlot(v.Order, held[v.ShopperID], t.terms[saleID].slots)
			if slot < 0 { // and so it has none
				v.Slot, v.Status, v.Reason = 0, order.StatusRejected, order.ReasonPurchaseLimit
				continue
			}
			v.Slot = slot
			held[v.ShopperID] = append(held[v.ShopperID], v.Order)
		}
	}
	return nil
}

// freeSlot returns the slot for o beside the shopper's other live orders: the
// one it asks for or else the lowest that is free; -1 when there is none, or
// when its key has bought already.
func freeSlot(o order.Order, held []order.Order, slots int) int {
	var taken [order.MaxSlots]bool
	for _, h := range held {
		if h.Key == o.Key {
			return -1
		}
		taken[h.Slot] = true
	}
	if o.Slot >= 0 && o.Slot < slots && !taken[o.Slot] {
		return o.Slot
	}
	return slices.Index(taken[:slots], false)
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

// bySale groups vs; the order within each group stays.
func bySale(vs []*order.Verdict) map[int64][]*order.Verdict {
	groups := make(map[int64][]*order.Verdict, 1)
	for _, v := range vs {
		groups[v.SaleID] = append(groups[v.SaleID], v)
	}
	return groups
}
