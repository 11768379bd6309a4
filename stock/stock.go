// Package stock is the Redis side of a sale: who holds how many of its units,
// by the transitions T1, T2, T5, T6 and T8 of the order protocol, each one Lua
// script that works on many orders at once. Redis only answers fast; MySQL
// decides. So the package promises that every script may be run again, by
// anyone and in any order, and that a sale which is not loaded stays untouched.
//
// On top of the Ledger stands the Collector, which makes one script call of the
// reservations that arrive together.
package stock

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Refusals of a reservation. Nothing was taken.
var (
	// ErrNotLoaded: Redis knows nothing of the sale; also returned by every
	// other call that would change it.
	ErrNotLoaded = errors.New("stock: sale not loaded")
	// ErrNotOpen: the sale has not begun.
	ErrNotOpen = errors.New("stock: sale not open yet")
	// ErrPaused: an operator stopped the sale for a while.
	ErrPaused = errors.New("stock: sale paused")
	// ErrEnded: the sale is over for good.
	ErrEnded = errors.New("stock: sale ended")
	// ErrSoldOut: fewer units are left than asked for.
	ErrSoldOut = errors.New("stock: sold out")
	// ErrReplay: the idempotency key names an earlier order of the shopper.
	ErrReplay = errors.New("stock: key names an earlier order")
	// ErrPurchaseLimit: the shopper holds as many live orders as allowed.
	ErrPurchaseLimit = errors.New("stock: purchase limit reached")
)

// Failures of a reservation.
var (
	// ErrUnknown: the order may be reserved or not. The same call repeated
	// with the same order ID tells.
	ErrUnknown = errors.New("stock: outcome unknown")
	// ErrUnavailable: Redis was surely not asked; nothing was taken.
	ErrUnavailable = errors.New("stock: unavailable")
	// ErrBusy: the sale's queue is full; nothing was taken.
	ErrBusy = errors.New("stock: busy")
)

// Outcomes of loading a sale.
var (
	// ErrLoaded: the sale is already loaded; this load was thrown away.
	ErrLoaded = errors.New("stock: sale already loaded")
	// ErrIncomplete: Redis lost a part of what was written; this load was
	// thrown away and has to begin again.
	ErrIncomplete = errors.New("stock: load incomplete")
)

// errReply is the error of a script's answer that cannot be read.
var errReply = errors.New("stock: unreadable reply")

// Ledger keeps what every sale has left and who holds it. Safe for concurrent
// use; it holds no state of its own.
type Ledger struct {
	rdb redis.UniversalClient
}

// New returns a Ledger on rdb: a single server, sentinels or a cluster.
func New(rdb redis.UniversalClient) *Ledger { return &Ledger{rdb: rdb} }

// Ping reports whether Redis answers.
func (l *Ledger) Ping(ctx context.Context) error {
	if err := l.rdb.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("ping redis: %w", err)
	}
	return nil
}
