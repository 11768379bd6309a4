package stock

import (
	"context"
	"fmt"
	"time"

	"seckill/order"
)

// loadTTL is how long an unfinished load stays in Redis.
const loadTTL = 10 * time.Minute

// Loading is a load in progress. Nobody sees the sale before Finish. For use by
// one goroutine.
type Loading struct {
	ledger   *Ledger
	sale     int64
	key      string
	entries  int64 // orders, and what shoppers have returned
	shoppers int64
	units    int64
}

// Begin starts to load a sale under its epoch, which the caller must have raised
// for this load alone. It returns ErrLoaded when the sale is already loaded.
func (l *Ledger) Begin(ctx context.Context, sale order.Sale) (*Loading, error) {
	k := keysOf(sale.ID)
	n, err := l.rdb.Exists(ctx, k.meta).Result()
	if err == nil && n > 0 {
		err = ErrLoaded
	}
	if err != nil {
		return nil, fmt.Errorf("load sale %d: %w", sale.ID, err)
	}
	return &Loading{ledger: l, sale: sale.ID, key: k.load(sale.Epoch)}, nil
}

// Add writes the live orders of a page of the snapshot. It returns ErrIncomplete
// when Redis has lost earlier pages.
func (ld *Loading) Add(ctx context.Context, rs []order.Record) error {
	args := make([]any, 1, 1+2*len(rs))
	args[0] = loadTTL.Milliseconds()
	for i := range rs {
		r := &rs[i]
		if !r.Status.Live() {
			continue
		}
		args = append(args, &r.ShopperID, entryOf(EntrySettled, &r.Order))
		ld.entries++
		ld.units += int64(r.Quantity)
	}
	return ld.add(ctx, args)
}

// AddReturns writes what shoppers have returned. It returns ErrIncomplete as Add does.
func (ld *Loading) AddReturns(ctx context.Context, rs []order.Returns) error {
	args := make([]any, 1, 1+2*len(rs))
	args[0] = loadTTL.Milliseconds()
	for i := range rs {
		args = append(args, &rs[i].ShopperID, returnsEntry(&rs[i]))
	}
	ld.entries += int64(len(rs))
	return ld.add(ctx, args)
}

// add writes a page.
func (ld *Loading) add(ctx context.Context, args []any) error {
	if len(args) == 1 {
		return nil
	}
	counts, err := addScript.Run(ctx, ld.ledger.rdb, []string{ld.key}, args...).Int64Slice()
	if err == nil && len(counts) != 2 {
		err = fmt.Errorf("%w: %d values", errReply, len(counts))
	}
	if err == nil && counts[0] != ld.entries {
		err = fmt.Errorf("%w: %d of %d entries", ErrIncomplete, counts[0], ld.entries)
	}
	if err != nil {
		return fmt.Errorf("load sale %d: %w", ld.sale, err)
	}
	ld.shoppers = counts[1]
	return nil
}

// Finish makes the load visible, ready to sell, and announces the sale. sale is
// the one of the snapshot: its Seq becomes the cursor. Finish returns ErrLoaded
// when the sale is already loaded, perhaps by an earlier run of this call whose
// answer was lost, and ErrIncomplete when a part of the load is missing. The
// load is deleted in both cases.
func (ld *Loading) Finish(ctx context.Context, sale order.Sale) error {
	k := keysOf(ld.sale)
	status, err := loadScript.Run(ctx, ld.ledger.rdb,
		[]string{k.meta, k.orders, k.due, k.urgent, ld.key}, ld.metaArgs(sale)...).Text()
	if err != nil {
		return fmt.Errorf("finish the load of sale %d: %w", ld.sale, err)
	}
	switch status {
	case "ok":
		_ = ld.ledger.Announce(ctx, ld.sale) // every catalog polls within a second anyway
		return nil
	case "loaded":
		return fmt.Errorf("finish the load of sale %d: %w", ld.sale, ErrLoaded)
	default:
		return fmt.Errorf("finish the load of sale %d: %w", ld.sale, ErrIncomplete)
	}
}

func (ld *Loading) metaArgs(sale order.Sale) []any {
	return []any{
		ld.entries, ld.shoppers,
		"state", string(sale.State), "starts", sale.StartsAt.UnixMilli(), "ends", sale.EndsAt.UnixMilli(),
		"limit", sale.OrdersPerShopper, "units", sale.UnitsPerOrder, "price", sale.PriceMinor,
		"total", sale.Total, "available", int64(sale.Total) - ld.units, "pending", 0, "settled", ld.units,
		"epoch", sale.Epoch, "applied", sale.Seq,
	}
}

// Abort deletes the load.
func (ld *Loading) Abort(ctx context.Context) error {
	if err := ld.ledger.rdb.Unlink(ctx, ld.key).Err(); err != nil {
		return fmt.Errorf("abort the load of sale %d: %w", ld.sale, err)
	}
	return nil
}

// Unload removes a sale from Redis, with its pending orders. Those that are
// settled after the next load are adopted then.
func (l *Ledger) Unload(ctx context.Context, saleID int64) error {
	k := keysOf(saleID)
	if err := l.rdb.Unlink(ctx, k.meta, k.orders, k.due, k.urgent).Err(); err != nil {
		return fmt.Errorf("unload sale %d: %w", saleID, err)
	}
	_ = l.Announce(ctx, saleID) // every catalog polls within a second anyway
	return nil
}
