// Package reconcile brings Redis and MySQL together again after whatever
// happened between them: the tail replays the log of changes that a write-back
// missed, the sweeper settles orders whose message never came, the resolver
// closes orders that neither store knows, the loader puts sales into Redis, the
// patrol looks for what all of these have missed.
// Any number of processes may run any of it at once: every step is a
// compare-and-set or a primary key.
package reconcile

import (
	"context"
	"log/slog"
	"time"

	"seckill/order"
	"seckill/stock"
)

// every is the pace of the tail, the sweeper and the loader's watch. With the
// 30 s after which an order is due it keeps the promise of 60 s with room.
const every = time.Second

// stepTimeout bounds one round of a step, and one look of the sweeper; what it does not
// get done the next one does.
const stepTimeout = 20 * time.Second

// sales lists the sales that are not closed.
type sales interface {
	Sales(ctx context.Context) ([]order.Sale, error)
}

// metas reads the state of sales in Redis, in the order of the IDs.
type metas interface {
	Metas(ctx context.Context, saleIDs []int64) ([]stock.Meta, error)
}

// Loop calls step once a second until ctx is done. A failing step is logged
// when it starts to fail and when it works again, not every second.
func Loop(ctx context.Context, log *slog.Logger, name string, step func(context.Context) error) error {
	return loopEvery(ctx, every, log, name, step)
}

func loopEvery(ctx context.Context, pace time.Duration, log *slog.Logger, name string, step func(context.Context) error) error {
	t := time.NewTicker(pace)
	defer t.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		stepCtx, cancel := context.WithTimeout(ctx, stepTimeout)
		err := step(stepCtx)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !failing:
			log.WarnContext(ctx, "reconciling step fails, will go on trying", "step", name, "err", err)
		case err == nil && failing:
			log.InfoContext(ctx, "reconciling step works again", "step", name)
		}
		failing = err != nil
	}
}

func saleIDs(ss []order.Sale) []int64 {
	ids := make([]int64, len(ss))
	for i, s := range ss {
		ids[i] = s.ID
	}
	return ids
}
