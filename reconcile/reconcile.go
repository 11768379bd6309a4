// Package reconcile brings Redis and MySQL back together after a fault:
//
//   - The Tail runs every second in every consumer. Each sale whose cursor is
//     behind gets the missing changes: lost write-backs, operators' commands, and
//     everything that a Redis restored from older data has lost.
//   - The Sweeper claims orders that are urgent or due. It applies the verdict of
//     an order that has one, and settles the others through the process's own pool.
//   - The Resolver voids an order that is in neither store, when it is older than
//     60 s, its sale is loaded, MySQL was asked, and the consumers have passed what
//     was in the queue at the first poll that missed it.
//   - The Loader opens sales 10 minutes before they start, and loads those that
//     should be in Redis but are not: from one snapshot, under a key of its own
//     that is renamed in one step.
//   - The Expirer cancels unpaid orders, the Extender moves their time to pay, the
//     Janitor ends and closes sales, and the Rebuilder loads a sale again at an
//     operator's request.
//
// Package audit finds what all of these miss. Any number of processes may run any
// of them at once: every step is a compare-and-set or a primary key.
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

// claims lets one process of the fleet at a time do some work on a sale. A claim
// only saves work: everything that is done under it is safe to do twice.
type claims interface {
	Claim(ctx context.Context, saleID int64, work string, ttl time.Duration) (bool, error)
	Keep(ctx context.Context, saleID int64, work string, ttl time.Duration) error
	Release(ctx context.Context, saleID int64, work string) error
}
