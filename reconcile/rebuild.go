package reconcile

import (
	"context"
	"errors"
	"fmt"

	"seckill/order"
	"seckill/stock"
)

type rebuildable interface {
	Sale(ctx context.Context, id int64) (order.Sale, error)
	Settle(ctx context.Context, batch []order.Order) ([]order.Verdict, error)
}

// Rebuilder loads a sale into Redis anew, whatever Redis says of it: the
// operator's remedy for what no replay heals.
type Rebuilder struct {
	store  rebuildable
	ledger rebuilding
	loader *Loader
}

type rebuilding interface {
	// Withdraw takes a sale out of Redis.
	Withdraw(ctx context.Context, saleID int64) (*stock.Withdrawn, error)
	Apply(ctx context.Context, cs []order.Change) error
}

// NewRebuilder returns a Rebuilder that loads with loader.
func NewRebuilder(store rebuildable, ledger rebuilding, loader *Loader) *Rebuilder {
	return &Rebuilder{store: store, ledger: ledger, loader: loader}
}

// Rebuilt is what a rebuild did.
type Rebuilt struct {
	WasLoaded bool
	Settled   int // orders pending in Redis, which have got their verdict first
}

// ErrNotInRedis says that the sale is in a state in which it has no business in Redis.
var ErrNotInRedis = errors.New("the sale is not one that is kept in Redis")

// settleAtOnce is a batch as the consumers make them.
const settleAtOnce = 128

// Rebuild withdraws the sale from Redis, settles the orders that were pending
// there (the message of some may be lost), and loads it from MySQL as Load
// does. It refuses purchases meanwhile. Any number may run at once, consumers
// that load the sale by themselves as well.
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
	// The sale has to sell again, also when that went wrong: the sweeper's way
	// is gone for those orders, a poll or their message ends them.
	if err := errors.Join(err, r.loader.Load(ctx, saleID)); err != nil {
		return done, err
	}
	// Another process may have loaded it before they were settled; if one has
	// withdrawn it since, its load brings them.
	if err := r.ledger.Apply(ctx, changes); err != nil && !errors.Is(err, stock.ErrNotLoaded) {
		return done, fmt.Errorf("apply what was settled of sale %d: %w", saleID, err)
	}
	return done, old.Discard(ctx)
}
