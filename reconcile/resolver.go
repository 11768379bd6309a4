package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"seckill/order"
	"seckill/queue"
)

type voider interface {
	Sale(ctx context.Context, id int64) (order.Sale, error)
	Verdicts(ctx context.Context, os []order.Order) (decided []order.Verdict, undecided []order.Order, err error)
	// Void commits rejected(void) for an order without a verdict, or returns the
	// verdict it has.
	Void(ctx context.Context, o order.Order) (order.Verdict, error)
}

// Resolver ends orders that a shopper asks about and neither store knows: Redis
// lost the reservation and the message never came. It is the only one that
// may say no to an order without having settled it, so it is slow to believe
// that an order is lost.
type Resolver struct {
	store  voider
	ledger changeSink
	queue  offsets

	// marks are what stood in the queue when an order was first missed.
	marks *lru.Cache[order.ID, queue.Offsets]
	// asking lets pollers who ask the queue at the same moment ask it once.
	asking singleflight.Group
}

const (
	// TMax is how old an order must be before it may be resolved: longer than
	// any send, sweep or redelivery of a working system takes.
	TMax = 60 * time.Second
	// maxMarks bounds the orders being resolved; one that is pushed out begins
	// again with its next poll.
	maxMarks = 10_000
	// resolveTimeout bounds what one poll may cost.
	resolveTimeout = 2 * time.Second
)

// NewResolver returns a Resolver.
func NewResolver(store voider, ledger changeSink, broker offsets) *Resolver {
	marks, err := lru.New[order.ID, queue.Offsets](maxMarks)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &Resolver{store: store, ledger: ledger, queue: broker, marks: marks}
}

// Resolve returns the verdict of o, an order that has no reservation in Redis
// and no row, or false while it may still get one. It voids o when that was
// issued longer than TMax ago, its sale is loaded (or will never be again), MySQL was
// asked, and the consumers have passed what stood in the queue when o was first
// missed. Any store that cannot be asked is an error: it is not "absent".
func (r *Resolver) Resolve(ctx context.Context, o order.Order) (order.Verdict, bool, error) {
	// A date in the future is that of a wrong clock: it must not keep the order
	// from its end until it has come.
	if time.Since(o.ID.Time()).Abs() < TMax {
		return order.Verdict{}, false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	decided, _, err := r.store.Verdicts(ctx, []order.Order{o})
	if err != nil {
		return order.Verdict{}, false, fmt.Errorf("read the verdict of order %d: %w", o.ID, err)
	}
	if len(decided) == 1 {
		return decided[0], true, nil
	}
	ok, err := r.lost(ctx, o)
	if !ok || err != nil {
		return order.Verdict{}, false, err
	}
	v, err := r.store.Void(ctx, o)
	if err != nil {
		return order.Verdict{}, false, fmt.Errorf("void order %d: %w", o.ID, err)
	}
	r.marks.Remove(o.ID)
	// What was only read (Seq 0) has no change to apply; a failure is the tail's.
	_ = r.ledger.Apply(ctx, order.Changes([]order.Verdict{v}))
	return v, true, nil
}

// lost reports whether nothing can bring o a verdict any more.
func (r *Resolver) lost(ctx context.Context, o order.Order) (bool, error) {
	sale, err := r.store.Sale(ctx, o.SaleID)
	if err != nil && !errors.Is(err, order.ErrNotFound) { // a sale that is gone will not be loaded
		return false, fmt.Errorf("read sale %d: %w", o.SaleID, err)
	}
	ms, err := r.ledger.Metas(ctx, []int64{o.SaleID})
	if err != nil {
		return false, fmt.Errorf("look for sale %d in Redis: %w", o.SaleID, err)
	}
	if !ms[0].Loaded && sale.State.Loaded() {
		return false, nil // it is being loaded, perhaps with this order
	}
	mark, seen := r.marks.Get(o.ID)
	if !seen {
		if mark, err = r.ask(ctx, "end", r.queue.MaxOffsets); err == nil {
			r.marks.Add(o.ID, mark)
		}
		return false, err // a later poll finds whether the consumers have passed it
	}
	at, err := r.ask(ctx, "consumers", r.queue.Committed)
	if err != nil {
		return false, err
	}
	return at.Passed(mark), nil
}

// ask asks the queue once for all polls that ask at the same moment. The call
// outlives the poll that began it: a shopper who leaves must not fail the others.
func (r *Resolver) ask(ctx context.Context, what string, offsets func(context.Context) (queue.Offsets, error)) (queue.Offsets, error) {
	v, err, _ := r.asking.Do(what, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resolveTimeout)
		defer cancel()
		return offsets(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("ask the queue for its %s: %w", what, err)
	}
	return v.(queue.Offsets), nil //nolint:errcheck // what the line above put there
}
