// Package promise checks what must hold between MySQL, Redis and the order events
// when a run has come to rest. The tests of the whole program and the simulation
// share it.
package promise

import (
	"cmp"
	"context"
	"fmt"

	"seckill/order"
	"seckill/stock"
)

// Store is what it reads of MySQL.
type Store interface {
	Report(ctx context.Context, saleID int64, page func([]order.Record) error) (order.Report, error)
	Changes(ctx context.Context, saleID int64, after uint64, limit int) ([]order.Change, error)
}

// Note takes a broken promise. Its kind is oversold, duplicate, leaked or lost.
type Note func(kind, format string, args ...any)

// Orders are the rows of a sale.
type Orders map[order.ID]order.Record

// Rows reads a sale and its orders.
func Rows(ctx context.Context, store Store, saleID int64) (order.Sale, Orders, error) {
	rows := Orders{}
	report, err := store.Report(ctx, saleID, func(page []order.Record) error {
		for _, r := range page {
			rows[r.ID] = r
		}
		return nil
	})
	return report.Sale, rows, err
}

// Units checks that no more is sold than there is and that nothing is kept back,
// and returns the live units.
func (rows Orders) Units(sale order.Sale, note Note) (live int) {
	for _, r := range rows {
		if r.Status.Live() {
			live += r.Quantity
		}
	}
	if live > sale.Total {
		note("oversold", "%d live units of %d", live, sale.Total)
	}
	if sale.Available+live != sale.Total {
		note("leaked", "mysql: available %d + live %d is not %d", sale.Available, live, sale.Total)
	}
	return live
}

// Limits checks the purchase limit, and that no key bought twice.
func (rows Orders) Limits(sale order.Sale, note Note) {
	type claim struct {
		shopper, what string
		most          int
	}
	held := map[claim]int{}
	for _, r := range rows {
		if r.Status.Live() {
			held[claim{r.ShopperID, "orders", sale.OrdersPerShopper}]++
			held[claim{r.ShopperID, fmt.Sprint("slot ", r.Slot), 1}]++
			held[claim{r.ShopperID, fmt.Sprintf("key %x", r.Key), 1}]++
		}
	}
	for c, n := range held {
		if n > c.most {
			note("duplicate", "%s of %s: %d live orders, at most %d", c.what, c.shopper, n, c.most)
		}
	}
}

// Redis checks that Redis knows the sale as MySQL does, and holds the same live
// orders in the same slots.
func (rows Orders) Redis(ctx context.Context, ledger *stock.Ledger, sale order.Sale, note Note) error {
	ms, err := ledger.Metas(ctx, []int64{sale.ID})
	if err != nil {
		return err
	}
	m, live := ms[0], int64(sale.Total-sale.Available)
	if !m.Loaded || m.Applied != sale.Seq || m.State != sale.State || m.Total != int64(sale.Total) ||
		m.Pending != 0 || m.Settled != live || m.Available != int64(sale.Available) {
		note("leaked", "redis: loaded %t, %s, available %d, pending %d, settled %d of %d at change %d; mysql: %s, available %d, %d live at change %d",
			m.Loaded, m.State, m.Available, m.Pending, m.Settled, m.Total, m.Applied, sale.State, sale.Available, live, sale.Seq)
	}
	held := map[order.ID]bool{}
	for cursor, first := uint64(0), true; first || cursor != 0; first = false {
		var page []stock.Entry
		if page, cursor, err = ledger.Scan(ctx, sale.ID, cursor, 500); err != nil {
			return err
		}
		for _, e := range page {
			if !e.State.Live() {
				continue
			}
			held[e.ID] = true
			if r := rows[e.ID]; !r.Status.Live() || e.State != stock.EntrySettled || e.Slot != r.Slot || e.Quantity != r.Quantity {
				note("leaked", "order %d: redis has %c in slot %d, mysql %q in slot %d", e.ID, byte(e.State), e.Slot, cmp.Or(r.Status, "nothing"), r.Slot)
			}
		}
	}
	for id, r := range rows {
		if r.Status.Live() && !held[id] {
			note("leaked", "order %d is %s and redis does not hold it", id, r.Status)
		}
	}
	return nil
}
