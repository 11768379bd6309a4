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

// Copy is the local copy of a sale: what MySQL and Redis last said of it. It
// never changes, but for its sold-out flag; the catalog puts a new one in its
// place. The window and the total are those of Redis while the sale is loaded,
// as reservations are judged by them.
type Snapshot struct {
	order.Sale
	Meta    stock.Meta
	soldOut atomic.Bool
}

// NewCopy is a sale as MySQL and Redis have it now.
func NewSnapshot(s order.Sale, m stock.Meta) *Snapshot {
	if m.Loaded {
		s.StartsAt, s.EndsAt, s.Total = m.StartsAt, m.EndsAt, int(m.Total)
	}
	c := &Snapshot{Sale: s, Meta: m}
	c.soldOut.Store(m.Loaded && m.Available <= 0)
	return c
}

// newerState is a sale's state by the list, which may be older than what was known
// before: a sale that has been open is never scheduled again, and one that
// Redis has just lost must not look as if it had yet to begin.
func newerState(s order.SaleState, before *Snapshot) order.SaleState {
	if s == order.SaleScheduled && before != nil {
		return before.state()
	}
	return s
}

// SoldOut reports whether the sale had no unit left when Redis was last asked,
// by the catalog or by the collector.
func (c *Snapshot) SoldOut() bool { return c.soldOut.Load() }

// Refusal returns why nobody can reserve at the given time, of the catalog's
// clock: ErrNotLoaded, ErrPaused, ErrNotOpen, ErrEnded or ErrSoldOut, in the
// order of the script's own guards; nil if Redis has to be asked.
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

// Status is what a shopper is told: scheduled, open, paused, sold_out or ended.
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

// Display is how much is left, roughly: available, low (a tenth or less) or
// none.
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

// state is that of Redis, by which reservations are judged; of MySQL where the
// sale is not loaded.
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

// Digest counts the sales that are loaded, and names what is known of them: their
// terms, and the load into Redis that their stock is from. Two processes with the
// same digest know the same; orders do not change it.
func Fingerprint(all []*Snapshot) (loaded int, digest string) {
	h := fnv.New64a()
	for _, s := range slices.SortedFunc(slices.Values(all), func(a, b *Snapshot) int { return cmp.Compare(a.ID, b.ID) }) {
		if s.Meta.Loaded {
			loaded++
			_, _ = fmt.Fprintln(h, s.ID, s.Version, s.Meta.Epoch, s.Meta.State, s.StartsAt.UnixMilli(), s.EndsAt.UnixMilli()) // it cannot fail
		}
	}
	return loaded, strconv.FormatUint(h.Sum64(), 16)
}
