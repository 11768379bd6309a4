package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"seckill/internal/loop"
	"seckill/order"
	"seckill/stock"
)

type expiring interface {
	sales
	// Expire cancels unpaid orders that are due, of those confirmed by a sale's
	// changes after a seq.
	Expire(ctx context.Context, saleID int64, after uint64) (order.Expiry, error)
}

// Expirer cancels orders that were not paid in time, and all unpaid ones of a
// sale that was voided, and puts their units on sale again. When an order is due is the database's to say.
type Expirer struct {
	store   expiring
	ledger  applier
	expired func(orders int)
	log     *slog.Logger
	next    map[int64]expiry // by sale
}

// expiry is where and when to look next. All of it may be forgotten: who
// starts anew walks the sale's log again.
type expiry struct {
	seq     uint64
	at      time.Time
	version uint64 // of the sale when it was looked at: operators may change what is due
}

// NewExpirer returns an Expirer; call Step once a second, from one goroutine.
// expired is told how many orders were cancelled; it may be nil.
func NewExpirer(store expiring, ledger applier, expired func(orders int), log *slog.Logger) *Expirer {
	if expired == nil {
		expired = func(int) {}
	}
	return &Expirer{store: store, ledger: ledger, expired: expired, log: log, next: map[int64]expiry{}}
}

const (
	// expiryRest is how many times as long as it cancelled an Expirer rests, so that
	// settling, which wants the same row, keeps most of its speed.
	expiryRest = 3
	// expiryLook is how long a look may be put off: pay_by may have been moved.
	expiryLook = 30 * time.Second
)

// Step cancels what is due: of each sale one transaction at a time, so that a
// large sale does not hold up the others, until nothing is due or ctx is done.
// What it could not do by then the next one does.
func (e *Expirer) Step(ctx context.Context) error {
	ss, err := e.store.Sales(ctx)
	if err != nil {
		return fmt.Errorf("list sales: %w", err)
	}
	e.forget(ss)
	rand.Shuffle(len(ss), func(i, j int) { ss[i], ss[j] = ss[j], ss[i] }) // other processes look elsewhere meanwhile
	for busy := true; busy; {
		busy = false
		var errs []error
		for _, s := range ss {
			if next := e.next[s.ID]; s.State == order.SaleScheduled || next.version == s.Version && time.Now().Before(next.at) {
				continue
			}
			began := time.Now()
			cancelled, err := e.look(ctx, s)
			switch {
			case ctx.Err() != nil: // the next step goes on
				return nil //nolint:nilerr // cut off, not failed
			case err != nil:
				errs = append(errs, fmt.Errorf("expire orders of sale %d: %w", s.ID, err))
			case cancelled == 0: // it has read, which slows nobody
				busy = true
			default:
				busy = true
				_ = loop.Pause(ctx, expiryRest*time.Since(began))
			}
		}
		if len(errs) > 0 {
			return errors.Join(errs...)
		}
	}
	return nil
}

// look cancels at most one transaction's worth, and returns how many orders.
func (e *Expirer) look(ctx context.Context, sale order.Sale) (int, error) {
	found, err := e.store.Expire(ctx, sale.ID, e.next[sale.ID].seq)
	if err != nil {
		return 0, err
	}
	e.next[sale.ID] = expiry{found.Seq, time.Now().Add(min(found.Wait, expiryLook)), sale.Version}
	n := len(found.Verdicts)
	if n > 0 {
		stock.WriteBack(ctx, e.ledger, e.log, found.Verdicts...)
		e.expired(n)
		e.log.InfoContext(ctx, "unpaid orders cancelled", "sale_id", sale.ID, "voided", sale.Voided, "orders", n)
	}
	return n, nil
}

// forget drops the sales that are closed.
func (e *Expirer) forget(ss []order.Sale) {
	next := make(map[int64]expiry, len(ss))
	for _, s := range ss {
		next[s.ID] = e.next[s.ID]
	}
	e.next = next
}
