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

type resolveStore interface {
	Sale(ctx context.Context, id int64) (order.Sale, error)
	Verdicts(ctx context.Context, os []order.Order) (decided []order.Verdict, undecided []order.Order, err error)
	// Void commits rejected(void) for an order without a verdict, or returns the
	// verdict it has.
	Void(ctx context.Context, o order.Order) (order.Verdict, error)
}

// Resolver voids orders that a shopper polls and neither store has: Redis lost
// the reservation and the message never came. It is the only one that may reject
// an order without settling it, so it requires strong evidence that the order is
// lost.
type Resolver struct {
	store  resolveStore
	ledger changeSink
	queue  offsets

	// marks are the ends of the queue when each order was first missed.
	marks *lru.Cache[order.ID, queue.Offsets]
	// asking makes one call of the queue for all polls that ask at the same moment.
	asking singleflight.Group
}

const (
	// TMax is how old an order must be to be voided: longer than any send, sweep or
	// redelivery of a working system takes.
	TMax = 60 * time.Second
	// maxMarks bounds the orders being resolved; an evicted one starts again with
	// its next poll.
	maxMarks = 10_000
	// resolveTimeout bounds the time of one poll.
	resolveTimeout = 2 * time.Second
)

// NewResolver returns a Resolver.
func NewResolver(store resolveStore, ledger changeSink, broker offsets) *Resolver {
	marks, err := lru.New[order.ID, queue.Offsets](maxMarks)
	if err != nil {
		panic(err) // the size is not positive
	}
	return &Resolver{store: store, ledger: ledger, queue: broker, marks: marks}
}

// Resolve returns the verdict of o, an order without a reservation in Redis and
// without a row, or false while it may still get a verdict. It voids o when o was
// issued more than TMax ago, its sale is loaded (or never will be again), MySQL
// was asked, and the consumers have passed what was in the queue when o was first
// missed. A store that does not answer is an error, and never counts as absence.
func (r *Resolver) Resolve(ctx context.Context, o order.Order) (order.Verdict, bool, error) {
	// A time in the future is from a wrong clock: the order must not wait for it.
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
	// A verdict that was only read (Seq 0) has no change; the tail heals a failure.
	_ = r.ledger.Apply(ctx, order.Changes([]order.Verdict{v}))
	return v, true, nil
}

// lost reports whether o can no longer get a verdict.
func (r *Resolver) lost(ctx context.Context, o order.Order) (bool, error) {
	sale, err := r.store.Sale(ctx, o.SaleID)
	if err != nil && !errors.Is(err, order.ErrNotFound) { // a deleted sale is never loaded again
		return false, fmt.Errorf("read sale %d: %w", o.SaleID, err)
	}
	ms, err := r.ledger.Metas(ctx, []int64{o.SaleID})
	if err != nil {
		return false, fmt.Errorf("read sale %d in Redis: %w", o.SaleID, err)
	}
	if !ms[0].Loaded && sale.State.Loaded() {
		return false, nil // the sale is being loaded, perhaps with this order
	}
	mark, seen := r.marks.Get(o.ID)
	if !seen {
		if mark, err = r.ask(ctx, "end", r.queue.MaxOffsets); err == nil {
			r.marks.Add(o.ID, mark)
		}
		return false, err // a later poll sees whether the consumers have passed it
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
	return v.(queue.Offsets), nil //nolint:errcheck // offsets returns no other type
}
