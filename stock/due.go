package stock

import (
	"context"
	"fmt"

	"seckill/order"
)

// Urgent hands reserved orders whose message may not have been stored to the
// sweeper (T2). Without it they wait until their lease ends.
func (l *Ledger) Urgent(ctx context.Context, saleID int64, os ...order.Order) error {
	if len(os) == 0 {
		return nil
	}
	k := keysOf(saleID)
	args := make([]any, len(os))
	for i, o := range os {
		args[i] = o.ID.String() + "," + o.ShopperID
	}
	status, err := urgentScript.Run(ctx, l.rdb, []string{k.meta, k.urgent}, args...).Text()
	if err == nil && status == notLoaded {
		err = ErrNotLoaded
	}
	if err != nil {
		return fmt.Errorf("hand %d orders of sale %d to the sweeper: %w", len(os), saleID, err)
	}
	return nil
}

// firstItems and manyItems are how many items one run of due.lua reads: few in a
// sale without leftovers, many to get through a backlog. maxRuns bounds the runs
// of one call: 200,000 items, 0.1 s of Redis.
const (
	firstItems = 64
	manyItems  = 1_000
	maxRuns    = 200
)

// Due claims up to limit orders of a sale for the sweeper: urgent ones, those
// without a verdict for 30 s, and those dated in the future because a clock was
// set back. A claim keeps other processes away for 30 s; it is not a lock. An
// order that has lost its slot gets Slot 0. With an error, Due also returns the
// orders that it claimed before.
func (l *Ledger) Due(ctx context.Context, saleID int64, limit int) ([]order.Order, error) {
	k := keysOf(saleID)
	names := []string{k.meta, k.orders, k.due, k.urgent}
	var os []order.Order
	items := firstItems
	for range maxRuns {
		out, err := reply(dueScript.Run(ctx, l.rdb, names, lease.Milliseconds(), limit-len(os), items))
		if err != nil {
			return os, fmt.Errorf("claim due orders of sale %d: %w", saleID, err)
		}
		for i := 2; i+1 < len(out); i += 2 {
			e, err := parseEntry(saleID, text(out[i]), text(out[i+1]))
			if err != nil {
				return os, fmt.Errorf("claim due orders of sale %d: %w", saleID, err)
			}
			e.Slot = max(e.Slot, 0)
			os = append(os, e.Order)
		}
		if len(out) < 2 || number(out[1]) == 0 || len(os) >= limit {
			break
		}
		items = manyItems
	}
	return os, nil
}
