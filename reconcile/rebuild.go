package reconcile

import (
	"context"
	"errors"
	"fmt"

	"seckill/order"
	"seckill/stock"
)

type rebuildStore interface {
	Sale(ctx context.Context, id int64) (order.Sale, error)
	Settle(ctx context.Context, batch []order.Order) ([]order.Verdict, error)
}

// Rebuilder loads a sale into Redis again, whatever Redis has of it: the
// operator's remedy for what no replay heals.
type Rebuilder struct {
	store  rebuildStore
	ledger rebuildLedger
	loader *Loader
}

type rebuildLedger interface {
	// Withdraw takes a sale out of Redis.
	Withdraw(ctx context.Context, saleID int64) (*stock.Withdrawn, error)
	Apply(ctx context.Context, cs []order.Change) error
}

// NewRebuilder returns a Rebuilder that loads with loader.
func NewRebuilder(store rebuildStore, ledger rebuildLedger, loader *Loader) *Rebuilder {
	return &Rebuilder{store: store, ledger: ledger, loader: loader}
}

// Rebuilt is what a rebuild did.
type Rebuilt struct {
	WasLoaded bool
	Settled   int // orders that were pending in Redis and were settled first
}

// ErrNotInRedis is the error of a sale whose state is not kept in Redis.
var ErrNotInRedis = errors.New("the sale is not one that is kept in Redis")

// settleAtOnce is the size of a batch, as in the consumers.
const settleAtOnce = 128

// Rebuild withdraws the sale from Redis, settles the orders that were pending
// there (messages may be lost), and loads it from MySQL as Load does. Purchases
// are refused meanwhile. Any number of rebuilds may run at once, also while
// consumers load the sale.
func (r *Rebuilder) Rebuild(ctx context.Context, saleID int64) (done Rebuilt, err error) {
	sale, err := r.store.Sale(ctx, saleID)
	if err != nil {
		return done, fmt.Errorf("read sale %d: %w", saleID, err)
	}
	if !sale.State.Loaded() && sale.State != order.SaleEnded {
		return done, fmt.Errorf("%w: it is %s", ErrNotInRedis, sale.State)
	}
	old, err := r.ledger.Withdraw(ctx, saleID)
	if err != nil {
		return done, err
	}
	done.WasLoaded = old.Loaded
	var changes []order.Change
	err = old.Pending(ctx, func(os []order.Order) error {
		for len(os) > 0 {
			vs, err := r.store.Settle(ctx, os[:min(len(os), settleAtOnce)])
			if err != nil {
				return fmt.Errorf("settle the pending orders of sale %d: %w", saleID, err)
			}
			changes = append(changes, order.Changes(vs)...)
			done.Settled += min(len(os), settleAtOnce)
			os = os[min(len(os), settleAtOnce):]
		}
		return nil
	})
	// The sale must sell again even if that failed. The sweeper no longer finds
	// those orders; a poll or their message settles them.
	if err := errors.Join(err, r.loader.Load(ctx, saleID)); err != nil {
		return done, err
	}
	// Another process may have loaded the sale before the orders were settled. If
	// one has withdrawn it since, the next load includes them.
	if err := r.ledger.Apply(ctx, changes); err != nil && !errors.Is(err, stock.ErrNotLoaded) {
		return done, fmt.Errorf("apply the settled orders of sale %d: %w", saleID, err)
	}
	return done, old.Discard(ctx)
}
