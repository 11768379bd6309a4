package stock

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"seckill/order"
)

// Withdrawn holds the entries of a sale from when it was withdrawn.
type Withdrawn struct {
	// Loaded: the sale was in Redis.
	Loaded bool

	ledger *Ledger
	sale   int64
	key    string
}

// Withdraw takes a sale out of Redis: it is not loaded from then on, and refuses
// every purchase until it is loaded again. Its entries are kept aside for 10
// minutes.
func (l *Ledger) Withdraw(ctx context.Context, saleID int64) (*Withdrawn, error) {
	k := keysOf(saleID)
	w := &Withdrawn{ledger: l, sale: saleID, key: k.prefix + "old:" + strconv.FormatInt(time.Now().UnixNano(), 10)}
	n, err := withdrawScript.Run(ctx, l.rdb, []string{k.meta, k.orders, w.key}, loadTTL.Milliseconds()).Int()
	if err != nil {
		return nil, fmt.Errorf("withdraw sale %d: %w", saleID, err)
	}
	w.Loaded = n == 1
	_ = l.Announce(ctx, saleID) // every catalog polls within a second anyway
	return w, nil
}

// Pending passes the orders that had no verdict when the sale was withdrawn to
// page, some hundred at a time; an order may come twice.
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

// Discard deletes the entries that were kept aside.
func (w *Withdrawn) Discard(ctx context.Context) error {
	if err := w.ledger.rdb.Unlink(ctx, w.key).Err(); err != nil {
		return fmt.Errorf("discard the old entries of sale %d: %w", w.sale, err)
	}
	return nil
}
