package catalog

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"seckill/order"
	"seckill/stock"
)

// Snapshot is the last known state of a sale in MySQL and Redis. Only its
// sold-out flag changes; the catalog replaces it as a whole. While the sale is
// loaded, its window and total are those in Redis, which decide about
// reservations.
type Snapshot struct {
	order.Sale
	Meta    stock.Meta
	soldOut atomic.Bool
}

// NewSnapshot returns the snapshot of a sale with these states in MySQL and Redis.
func NewSnapshot(s order.Sale, m stock.Meta) *Snapshot {
	if m.Loaded {
		s.StartsAt, s.EndsAt, s.Total = m.StartsAt, m.EndsAt, int(m.Total)
	}
	c := &Snapshot{Sale: s, Meta: m}
	c.soldOut.Store(m.Loaded && m.Available <= 0)
	return c
}

// newerState returns the state of a listed sale. The list may be older than the
// last snapshot: a sale that was open is never scheduled again, and one that Redis
// has just lost must not look as if it had not started.
func newerState(s order.SaleState, before *Snapshot) order.SaleState {
	if s == order.SaleScheduled && before != nil {
		return before.state()
	}
	return s
}

// SoldOut reports whether the sale had no unit left at the last answer of Redis,
// to the catalog or to the collector.
func (c *Snapshot) SoldOut() bool { return c.soldOut.Load() }

// Refusal returns why nobody can reserve at the given time of the catalog's
// clock: ErrNotLoaded, ErrPaused, ErrNotOpen, ErrEnded or ErrSoldOut, checked in
// the order of reserve.lua; nil if Redis has to be asked.
func (c *Snapshot) Refusal(now time.Time) error {
	state := c.state()
	switch {
	case state == order.SaleEnded || state == order.SaleClosed:
		return stock.ErrEnded
	case state == order.SaleScheduled:
		return stock.ErrNotOpen
	case !c.Meta.Loaded:
		return stock.ErrNotLoaded
	case state == order.SalePaused:
		return stock.ErrPaused
	case now.Before(c.StartsAt):
		return stock.ErrNotOpen
	case !now.Before(c.EndsAt):
		return stock.ErrEnded
	case c.SoldOut():
		return stock.ErrSoldOut
	default:
		return nil
	}
}

// Status is the status that shoppers see: scheduled, open, paused, sold_out or
// ended.
func (c *Snapshot) Status(now time.Time) string {
	state := c.state()
	switch {
	case state == order.SaleEnded || state == order.SaleClosed || !now.Before(c.EndsAt):
		return "ended"
	case state == order.SaleScheduled || now.Before(c.StartsAt):
		return "scheduled"
	case state == order.SalePaused:
		return "paused"
	case c.available() <= 0:
		return "sold_out"
	default:
		return "open"
	}
}

// Display is roughly how much is left: available, low (a tenth or less) or none.
func (c *Snapshot) Display() string {
	switch left := c.available(); {
	case left <= 0:
		return "none"
	case left*10 <= int64(c.Total):
		return "low"
	default:
		return "available"
	}
}

// state is the state in Redis, which decides about reservations, or in MySQL if
// the sale is not loaded.
func (c *Snapshot) state() order.SaleState {
	if c.Meta.Loaded {
		return c.Meta.State
	}
	return c.Sale.State
}

func (c *Snapshot) available() int64 {
	switch {
	case c.SoldOut():
		return 0
	case c.Meta.Loaded:
		return c.Meta.Available
	default:
		return int64(c.Sale.Available)
	}
}

// Fingerprint returns the number of loaded sales, and a hash of their terms and of
// the load into Redis that their stock is from. Two processes with the same
// fingerprint know the same sales; orders do not change it.
func Fingerprint(all []*Snapshot) (loaded int, fingerprint string) {
	h := fnv.New64a()
	for _, s := range slices.SortedFunc(slices.Values(all), func(a, b *Snapshot) int { return cmp.Compare(a.ID, b.ID) }) {
		if s.Meta.Loaded {
			loaded++
			_, _ = fmt.Fprintln(h, s.ID, s.Version, s.Meta.Epoch, s.Meta.State, s.StartsAt.UnixMilli(), s.EndsAt.UnixMilli()) // it cannot fail
		}
	}
	return loaded, strconv.FormatUint(h.Sum64(), 16)
}
