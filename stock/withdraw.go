package stock

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"seckill/order"
)

// Withdrawn is what a sale held in Redis when it was withdrawn.
type Withdrawn struct {
	// Loaded: the sale was in Redis.
	Loaded bool

	ledger *Ledger
	sale   int64
	key    string
}

// Withdraw takes a sale out of Redis: from now on it is not loaded, and refuses
// everything until a load has put it back. Its entries are set aside for 10
// minutes.
func (l *Ledger) Withdraw(ctx context.Context, saleID int64) (*Withdrawn, error) {
	k := keysOf(saleID)
	w := &Withdrawn{ledger: l, sale: saleID, key: k.prefix + "old:" + strconv.FormatInt(time.Now().UnixNano(), 10)}
	n, err := withdrawScript.Run(ctx, l.rdb, []string{k.meta, k.orders, w.key}, abandoned.Milliseconds()).Int()
	if err != nil {
		return nil, fmt.Errorf("withdraw sale %d: %w", saleID, err)
	}
	w.Loaded = n == 1
	_ = l.Announce(ctx, saleID) // every catalog looks within a second anyway
	return w, nil
}

// Pending hands over the orders that had no verdict when the sale was
// withdrawn, some hundred at a time; an order may come twice.
func (w *Withdrawn) Pending(ctx context.Context, page func([]order.Order) error) error {
	for cursor, first := uint64(0), true; first || cursor != 0; first = false {
		es, next, err := w.ledger.scan(ctx, w.sale, w.key, cursor, 1000)
		if err != nil {
			return err
		}
		cursor = next
		var os []order.Order
		for _, e := range es {
			if e.State != EntryPending {
				continue
			}
			o := e.Order
			o.Slot = max(o.Slot, 0) // settling finds a free one
			os = append(os, o)
		}
		if len(os) == 0 {
			continue
		}
		if err := page(os); err != nil {
			return err
		}
	}
	return nil
}

// Discard removes what was set aside.
func (w *Withdrawn) Discard(ctx context.Context) error {
	if err := w.ledger.rdb.Unlink(ctx, w.key).Err(); err != nil {
		return fmt.Errorf("discard the old entries of sale %d: %w", w.sale, err)
	}
	return nil
}
