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
	"time"

	"seckill/order"
	"seckill/stock"
)

// sales lists the sales that are not closed.
type sales interface {
	Sales(ctx context.Context) ([]order.Sale, error)
}

// metas reads the state of sales in Redis, in the order of the IDs.
type metas interface {
	Metas(ctx context.Context, saleIDs []int64) ([]stock.Meta, error)
}

type applier interface {
	Apply(ctx context.Context, cs []order.Change) error
}

// claims lets one process of the fleet at a time do some work on a sale. A
// claim saves work and nothing else: all that is done under it is safe to do
// twice.
type claims interface {
	Claim(ctx context.Context, saleID int64, work string, ttl time.Duration) (bool, error)
	Keep(ctx context.Context, saleID int64, work string, ttl time.Duration) error
	Release(ctx context.Context, saleID int64, work string) error
}
