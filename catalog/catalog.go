// Package catalog keeps each process's local copy of every sale that is not
// closed: what MySQL and Redis last said of it. It refuses what needs no store
// to be refused.
package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"seckill/order"
	"seckill/stock"
)

const (
	// metasEvery and salesEvery are how old a copy may be when no message came:
	// what Redis says of a sale, and the list of sales in MySQL.
	metasEvery = time.Second
	salesEvery = time.Second
	// missEvery bounds how often unknown sale IDs make the catalog look.
	missEvery = time.Second
	// minPause is the least time between two looks that messages cause.
	minPause = 10 * time.Millisecond
	// readTimeout bounds one look.
	readTimeout = 2 * time.Second
	// slowest answer from which the clock is set: a slower one tells too little.
	slowest = 200 * time.Millisecond
)

// saleReader is the part of the Ledger that the catalog looks at.
type saleReader interface {
	Metas(ctx context.Context, saleIDs []int64) ([]stock.Meta, error)
	Listen(ctx context.Context, onResult func(int64, []order.ID), onSale func(int64)) error
}

// Catalog is the local copy of every sale that is not closed. Get takes no lock
// and asks nobody. When a store does not answer the last copy stays.
type Catalog struct {
	sales  func(ctx context.Context) ([]order.Sale, error)
	ledger saleReader
	log    *slog.Logger

	snapshots atomic.Pointer[snapshots]
	clock     atomic.Pointer[reading]
	lastMiss  atomic.Pointer[time.Time] // of the last look for an unknown sale
	listed    atomic.Bool               // MySQL has answered
	ready     atomic.Bool               // and then Redis too

	missing singleflight.Group
	listing sync.Mutex // one look at MySQL at a time
	reading sync.Mutex // one look at Redis at a time; guards list
	list    []order.Sale
}

// snapshots is one state of the catalog.
type snapshots struct {
	byID map[int64]*Snapshot
	list []*Snapshot // in the order of the sales function
}

// NewCatalog returns a Catalog of the sales that the function lists, with what
// the ledger says of each. It is empty until Refresh or Run.
func New(sales func(ctx context.Context) ([]order.Sale, error), ledger saleReader, log *slog.Logger) *Catalog {
	c := &Catalog{sales: sales, ledger: ledger, log: log}
	c.snapshots.Store(&snapshots{})
	return c
}

// Get returns the copy of a sale. It neither locks nor allocates.
func (c *Catalog) Get(saleID int64) (*Snapshot, bool) {
	s, ok := c.snapshots.Load().byID[saleID]
	return s, ok
}

// List returns all copies, in the order of the sales function. The caller must
// not change it.
func (c *Catalog) List() []*Snapshot { return c.snapshots.Load().list }

// Digest is Digest of the snapshots.
func (c *Catalog) Fingerprint() (loaded int, digest string) { return Fingerprint(c.List()) }

// Ready reports whether both stores have answered once.
func (c *Catalog) Ready() bool { return c.ready.Load() }

// reading is what the clock of Redis said, and when it said so by ours.
type reading struct{ redis, local time.Time }

// Now is the time of Redis: what the last look told, and what has passed since
// by the monotonic clock. A jump of this machine's clock does not move it.
func (c *Catalog) Now() time.Time {
	r := c.clock.Load()
	if r == nil {
		return time.Now()
	}
	return r.redis.Add(time.Since(r.local))
}

// Known reports whether there is a copy of the sale, and looks for one if not:
// once a second for all callers together, so a flood of made-up IDs asks no
// store. Who comes while it looks waits for the answer.
func (c *Catalog) Known(ctx context.Context, saleID int64) bool {
	if _, ok := c.Get(saleID); ok {
		return true
	}
	_, _, _ = c.missing.Do("", func() (any, error) {
		now := time.Now()
		if last := c.lastMiss.Load(); last == nil || now.Sub(*last) >= missEvery {
			c.lastMiss.Store(&now)
			// The look outlives the caller that began it: all others wait for it, too.
			_ = c.Refresh(context.WithoutCancel(ctx)) // Run logs a store that does not answer
		}
		return nil, nil //nolint:nilnil // the snapshots are the result
	})
	_, ok := c.Get(saleID)
	return ok
}

// MarkSoldOut notes that a sale has no unit left, until a look at Redis finds
// some.
func (c *Catalog) MarkSoldOut(saleID int64) {
	if s, ok := c.Get(saleID); ok {
		s.soldOut.Store(true)
	}
}

// Refresh asks both stores now. What one of them answers is used even if the
// other fails.
func (c *Catalog) Refresh(ctx context.Context) error {
	return errors.Join(c.refreshSales(ctx), c.refreshMetas(ctx))
}

// refreshSales reads the list of sales, for refreshMetas to use.
func (c *Catalog) refreshSales(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	c.listing.Lock()
	defer c.listing.Unlock()
	list, err := c.sales(ctx)
	if err != nil {
		return fmt.Errorf("list sales: %w", err)
	}
	c.reading.Lock()
	defer c.reading.Unlock()
	c.list = list
	c.listed.Store(true)
	return nil
}

// refreshMetas reads what Redis says of every sale and replaces the snapshots.
// Sales that could not be read keep what was known of them.
func (c *Catalog) refreshMetas(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	c.reading.Lock()
	defer c.reading.Unlock()
	metas, err := c.readMetas(ctx)
	old := c.snapshots.Load().byID
	next := &snapshots{byID: make(map[int64]*Snapshot, len(c.list)), list: make([]*Snapshot, len(c.list))}
	for i, s := range c.list {
		s.State = newerState(s.State, old[s.ID])
		var fresh *Snapshot
		switch before := old[s.ID]; {
		case i < len(metas) && metas[i].Err == nil:
			fresh = NewSnapshot(s, metas[i])
		case before != nil:
			fresh = NewSnapshot(s, before.Meta)
			fresh.soldOut.Store(before.SoldOut())
		default:
			fresh = NewSnapshot(s, stock.Meta{})
		}
		next.byID[s.ID], next.list[i] = fresh, fresh
	}
	c.snapshots.Store(next)
	if err == nil && c.listed.Load() {
		c.ready.Store(true)
	}
	return err
}

// look asks Redis for every sale, or without any for its time, and sets the
// clock by it.
func (c *Catalog) readMetas(ctx context.Context) ([]stock.Meta, error) {
	ids := order.SaleIDs(c.list)
	if len(ids) == 0 {
		ids = []int64{0} // of no sale, for the time
	}
	asked := time.Now()
	metas, err := c.ledger.Metas(ctx, ids)
	for _, m := range metas {
		if m.Err == nil {
			c.setClock(asked, m.Now)
			break
		}
	}
	return metas, err
}

// setClock takes the time of Redis to be that of the middle of a quick enough
// look.
func (c *Catalog) setClock(asked, now time.Time) {
	if took := time.Since(asked); took <= slowest {
		c.clock.Store(&reading{redis: now, local: asked.Add(took / 2)})
	}
}

// Run keeps the snapshots fresh until ctx is done: by the messages of the ledger,
// which come at once, and by a slow poll, as messages can be lost.
func (c *Catalog) Run(ctx context.Context) error {
	changed, unknown := make(chan struct{}, 1), make(chan struct{}, 1)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return c.ledger.Listen(ctx, nil, func(saleID int64) {
			wake(changed)
			if _, ok := c.Get(saleID); !ok { // a new one, or messages were lost
				wake(unknown)
			}
		})
	})
	g.Go(func() error {
		c.repeat(ctx, "sales and redis", salesEvery, unknown, c.Refresh)
		return nil
	})
	g.Go(func() error {
		c.repeat(ctx, "redis", metasEvery, changed, c.refreshMetas)
		return nil
	})
	return g.Wait()
}

// wake leaves one message; the look that takes it sees all that came before.
func wake(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// repeat looks at once, then whenever it is woken and in any case every so
// often. It logs when looking begins to fail and when it works again.
func (c *Catalog) repeat(ctx context.Context, what string, every time.Duration, woken <-chan struct{}, look func(context.Context) error) {
	tick, rest := time.NewTicker(every), time.NewTimer(0)
	defer tick.Stop()
	defer rest.Stop()
	failing := false
	for {
		err := look(ctx)
		if ctx.Err() != nil {
			return
		}
		switch {
		case err != nil && !failing:
			c.log.WarnContext(ctx, "local copy of the sales grows old", "store", what, "err", err)
		case err == nil && failing:
			c.log.InfoContext(ctx, "local copy of the sales is fresh again", "store", what)
		}
		failing = err != nil
		rest.Reset(minPause)
		select {
		case <-ctx.Done():
			return
		case <-rest.C:
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-woken:
		}
	}
}
