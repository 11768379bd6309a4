// Package stock is the Redis side of a sale: who holds how many of its units.
// Redis answers fast, MySQL decides. The package therefore promises two things:
// every script may run again, from any process and in any order, and no script
// changes a sale that is not loaded.
//
// A sale has four keys under one hash tag, so that it works on a Cluster: the
// hash m (window, counters, epoch, cursor), the hash o (shopper to entries, see
// entry.lua), and the lists d and u of orders that are due or urgent.
//
// An entry is pending (P), settled (S), rejected (R) or cancelled (C). R and C
// are final. Each transition is a Lua script that works on many orders at once:
//
//	T1  absent -> P            reserve.lua, by the API
//	T2  P becomes urgent       urgent.lua, by the API when a send was not confirmed
//	T5  P, absent -> S         apply.lua, by whoever has a committed confirmed row
//	T6  P -> R, units back     apply.lua, by whoever has a committed rejected row
//	T8  P, S, absent -> C      apply.lua, by whoever has a committed cancelled row
//
// The API never gives units back: a send that timed out may have arrived. T6
// needs a committed rejection under the same primary key as a confirmation, and
// InnoDB commits only one of them, so a late message cannot sell a unit twice.
//
// The cursor, applied, is the last change of the sale up to which Redis has
// everything. The change that is next in line moves it. A change that comes
// early (two workers commit, the second writes back first) has its orders
// applied at once and leaves a mark e<seq>, at most 1,000 ahead; when the cursor
// moves, it jumps over marked changes. Effects on the sale itself (state, units)
// wait for their turn. From absent, T5 and T8 act only for a change that is
// applied for the first time: a verdict that was merely read adopts nothing.
//
// The Collector puts the reservations that arrive together into one script call.
package stock

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"
)

// Refusals of a reservation. Nothing was taken.
var (
	// ErrNotLoaded: the sale is not in Redis. Every call that would change it
	// returns this error.
	ErrNotLoaded = errors.New("stock: sale not loaded")
	// ErrNotOpen: the sale has not started.
	ErrNotOpen = errors.New("stock: sale not open yet")
	// ErrPaused: an operator has paused the sale.
	ErrPaused = errors.New("stock: sale paused")
	// ErrEnded: the sale has ended for good.
	ErrEnded = errors.New("stock: sale ended")
	// ErrSoldOut: fewer units are left than asked for.
	ErrSoldOut = errors.New("stock: sold out")
	// ErrReplay: the idempotency key names an earlier order of the shopper.
	ErrReplay = errors.New("stock: key names an earlier order")
	// ErrPurchaseLimit: the shopper holds as many live orders as allowed.
	ErrPurchaseLimit = errors.New("stock: purchase limit reached")
	// ErrAttemptsUsed: the shopper has returned as many orders as the sale allows.
	ErrAttemptsUsed = errors.New("stock: attempts used")
	// ErrReturnPause: the shopper returned an order a short time ago.
	ErrReturnPause = errors.New("stock: too soon after a return")
	// ErrPermitSpent: the shopper has returned an order since the permit was issued.
	ErrPermitSpent = errors.New("stock: permit spent")
)

// Failures of a reservation.
var (
	// ErrUnknown: the order may or may not be reserved. Repeating the call with
	// the same order ID tells which.
	ErrUnknown = errors.New("stock: outcome unknown")
	// ErrUnavailable: the request did not reach Redis; nothing was taken.
	ErrUnavailable = errors.New("stock: unavailable")
	// ErrBusy: the sale's queue is full; nothing was taken.
	ErrBusy = errors.New("stock: busy")
)

// Outcomes of loading a sale.
var (
	// ErrLoaded: the sale is already loaded; this load was discarded.
	ErrLoaded = errors.New("stock: sale already loaded")
	// ErrIncomplete: Redis lost part of what was written; this load was
	// discarded and must start again.
	ErrIncomplete = errors.New("stock: load incomplete")
)

// errReply is returned for a reply of a script that cannot be parsed.
var errReply = errors.New("stock: unreadable reply")

// AboutSale reports whether an error says something about the sales of the call
// alone: the server answered, and serves other sales. Their slot may be on its way
// to another node, or a key of theirs hold what it should not.
func AboutSale(err error) bool {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return !slices.ContainsFunc(joined.Unwrap(), func(err error) bool { return !AboutSale(err) })
	}
	if inner := errors.Unwrap(err); inner != nil {
		return AboutSale(inner)
	}
	if errors.Is(err, ErrNotLoaded) || errors.Is(err, errReply) {
		return true
	}
	return slices.ContainsFunc(aboutSale, func(prefix string) bool { return redis.HasErrorPrefix(err, prefix) })
}

// aboutSale are the beginnings of Redis' errors about the keys of one call.
var aboutSale = []string{"TRYAGAIN", "MOVED", "ASK", "CROSSSLOT", "WRONGTYPE", "user_script", "Error running script"}

// Ledger records what every sale has left and who holds it. It is safe for
// concurrent use and keeps no state of its own.
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
