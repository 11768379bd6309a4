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

type expireStore interface {
	sales
	// Expire cancels the due unpaid orders among those that a sale's changes after
	// a seq confirmed.
	Expire(ctx context.Context, saleID int64, after uint64) (order.Expiry, error)
}

// Expirer cancels orders that were not paid in time, and all unpaid orders of a
// voided sale, and puts their units on sale again. The database decides when an
// order is due.
type Expirer struct {
	store   expireStore
	ledger  applier
	expired func(orders int)
	log     *slog.Logger
	next    map[int64]expiry // by sale
}

// expiry is where and when to continue. It may be lost: a new process reads the
// sale's log from its start.
type expiry struct {
	seq     uint64
	at      time.Time
	version uint64 // of the sale at that time: operators may change what is due
}

// NewExpirer returns an Expirer; call Step once a second, from one goroutine.
// expired is called with the number of cancelled orders; it may be nil.
func NewExpirer(store expireStore, ledger applier, expired func(orders int), log *slog.Logger) *Expirer {
	if expired == nil {
		expired = func(int) {}
	}
	return &Expirer{store: store, ledger: ledger, expired: expired, log: log, next: map[int64]expiry{}}
}

const (
	// expiryRest is the ratio of pause to work, so that settling, which updates the
	// same row, keeps most of its speed.
	expiryRest = 3
	// expiryRecheck is the longest time between two checks of a sale: pay_by may
	// have been moved.
	expiryRecheck = 30 * time.Second
)

// Step cancels due orders until none is left or ctx is done, one transaction per
// sale in turn, so that a large sale does not delay the others. The next step
// continues.
func (e *Expirer) Step(ctx context.Context) error {
	ss, err := e.store.Sales(ctx)
	if err != nil {
		return fmt.Errorf("list sales: %w", err)
	}
	e.forget(ss)
	rand.Shuffle(len(ss), func(i, j int) { ss[i], ss[j] = ss[j], ss[i] }) // so that processes work on different sales
	for busy := true; busy; {
		busy = false
		var errs []error
		for _, s := range ss {
			if next := e.next[s.ID]; s.State == order.SaleScheduled || next.version == s.Version && time.Now().Before(next.at) {
				continue
			}
			began := time.Now()
			cancelled, err := e.expireSome(ctx, s)
			switch {
			case ctx.Err() != nil: // the next step continues
				return nil //nolint:nilerr // interrupted, not failed
			case err != nil:
				errs = append(errs, fmt.Errorf("expire orders of sale %d: %w", s.ID, err))
			case cancelled == 0: // reading slows nobody down
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

// expireSome runs one transaction, and returns how many orders it cancelled.
func (e *Expirer) expireSome(ctx context.Context, sale order.Sale) (int, error) {
	found, err := e.store.Expire(ctx, sale.ID, e.next[sale.ID].seq)
	if err != nil {
		return 0, err
	}
	e.next[sale.ID] = expiry{found.Seq, time.Now().Add(min(found.Wait, expiryRecheck)), sale.Version}
	n := len(found.Verdicts)
	if n > 0 {
		stock.WriteBack(ctx, e.ledger, e.log, found.Verdicts...)
		e.expired(n)
		e.log.InfoContext(ctx, "unpaid orders cancelled", "sale_id", sale.ID, "voided", sale.Voided, "orders", n)
	}
	return n, nil
}

// forget drops closed sales.
func (e *Expirer) forget(ss []order.Sale) {
	next := make(map[int64]expiry, len(ss))
	for _, s := range ss {
		next[s.ID] = e.next[s.ID]
	}
	e.next = next
}
