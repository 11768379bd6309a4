// Package catalog keeps a local snapshot of every sale that is not closed: its
// last known state in MySQL and Redis. It lets a process refuse requests without
// asking a store.
//
// Snapshots are refreshed by messages of the ledger, which come at once, and by
// polling both stores every second, since messages can be lost. While a store is
// down, the last snapshots stay.
package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"seckill/order"
	"seckill/stock"
)

const (
	// metasEvery and salesEvery are the polling intervals for the state of the
	// sales in Redis and for the list of sales in MySQL.
	metasEvery = time.Second
	salesEvery = time.Second
	// missEvery bounds how often unknown sale IDs cause a refresh.
	missEvery = time.Second
	// minPause is the shortest time between two refreshes that messages cause.
	minPause = 10 * time.Millisecond
	// readTimeout bounds one read of a store. It is longer than the 2 s that a client
	// waits for one server: when the context of a read from several ends, the answers
	// that came are lost too.
	readTimeout = 3 * time.Second
	// slowest is the longest read that sets the clock: a slower one is too inexact.
	slowest = 200 * time.Millisecond
)

// saleReader reads the sales in Redis and receives their changes.
type saleReader interface {
	Metas(ctx context.Context, saleIDs []int64) ([]stock.Meta, error)
	Listen(ctx context.Context, onResult func(int64, []order.ID), onSale func(int64)) error
}

// Catalog has a snapshot of every sale that is not closed. Get takes no lock and
// calls no store.
type Catalog struct {
	sales  func(ctx context.Context) ([]order.Sale, error)
	ledger saleReader
	log    *slog.Logger

	snapshots atomic.Pointer[snapshots]
	clock     atomic.Pointer[reading]
	lastMiss  atomic.Pointer[time.Time] // of the last refresh for an unknown sale
	listed    atomic.Bool               // MySQL has answered
	ready     atomic.Bool               // and then Redis too

	missing singleflight.Group
	listing lock // one read of MySQL at a time
	reading lock // one read of Redis at a time; guards list
	list    []order.Sale
}

// snapshots are one state of the catalog.
type snapshots struct {
	byID map[int64]*Snapshot
	list []*Snapshot // in the order of the sales function
}

// New returns a Catalog of the sales that the function lists, with their state in
// the ledger. It is empty until Refresh or Run.
func New(sales func(ctx context.Context) ([]order.Sale, error), ledger saleReader, log *slog.Logger) *Catalog {
	c := &Catalog{sales: sales, ledger: ledger, log: log, listing: make(lock, 1), reading: make(lock, 1)}
	c.snapshots.Store(&snapshots{})
	return c
}

// lock is a mutex that a caller waits for no longer than its context lasts: it is
// held while a store is read.
type lock chan struct{}

func (l lock) take(ctx context.Context) error {
	select {
	case l <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l lock) release() { <-l }

// Get returns the snapshot of a sale. It neither locks nor allocates.
func (c *Catalog) Get(saleID int64) (*Snapshot, bool) {
	s, ok := c.snapshots.Load().byID[saleID]
	return s, ok
}

// List returns all snapshots, in the order of the sales function. The caller must
// not change it.
func (c *Catalog) List() []*Snapshot { return c.snapshots.Load().list }

// Fingerprint returns the fingerprint of all snapshots.
func (c *Catalog) Fingerprint() (loaded int, fingerprint string) { return Fingerprint(c.List()) }

// Ready reports whether both stores have answered once.
func (c *Catalog) Ready() bool { return c.ready.Load() }

// reading is a time of Redis, and the local time at which it was read.
type reading struct{ redis, local time.Time }

// Now returns the time of Redis: the last reading plus the time since then by the
// monotonic clock. A jump of this machine's clock does not change it.
func (c *Catalog) Now() time.Time {
	r := c.clock.Load()
	if r == nil {
		return time.Now()
	}
	return r.redis.Add(time.Since(r.local))
}

// Known reports whether the sale has a snapshot. If not, it refreshes the catalog
// first: once a second for all callers together, so a flood of made-up IDs does
// not reach the stores. Callers that come during a refresh wait for it, no longer
// than ctx lasts; it goes on when they leave.
func (c *Catalog) Known(ctx context.Context, saleID int64) bool {
	if _, ok := c.Get(saleID); ok {
		return true
	}
	refreshed := c.missing.DoChan("", func() (any, error) {
		now := time.Now()
		if last := c.lastMiss.Load(); last == nil || now.Sub(*last) >= missEvery {
			c.lastMiss.Store(&now)
			_ = c.Refresh(context.WithoutCancel(ctx)) // Run logs a store that does not answer
		}
		return nil, nil //nolint:nilnil // the snapshots are the result
	})
	select {
	case <-refreshed:
	case <-ctx.Done():
	}
	_, ok := c.Get(saleID)
	return ok
}

// MarkSoldOut marks a sale as sold out until a read of Redis finds units.
func (c *Catalog) MarkSoldOut(saleID int64) {
	if s, ok := c.Get(saleID); ok {
		s.soldOut.Store(true)
	}
}

// Refresh reads both stores now. It uses the answer of one even if the other
// fails.
func (c *Catalog) Refresh(ctx context.Context) error {
	return errors.Join(c.refreshSales(ctx), c.refreshMetas(ctx))
}

// refreshSales reads the list of sales, for refreshMetas to use.
func (c *Catalog) refreshSales(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if err := c.listing.take(ctx); err != nil {
		return err
	}
	defer c.listing.release()
	list, err := c.sales(ctx)
	if err != nil {
		return fmt.Errorf("list sales: %w", err)
	}
	if err := c.reading.take(ctx); err != nil {
		return err
	}
	defer c.reading.release()
	c.list = list
	c.listed.Store(true)
	return nil
}

// refreshMetas reads the state of every sale in Redis and replaces the snapshots.
// A sale that could not be read keeps its last state.
func (c *Catalog) refreshMetas(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if err := c.reading.take(ctx); err != nil {
		return err
	}
	defer c.reading.release()
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

// readMetas reads every sale in Redis and sets the clock.
func (c *Catalog) readMetas(ctx context.Context) ([]stock.Meta, error) {
	ids := order.SaleIDs(c.list)
	if len(ids) == 0 {
		ids = []int64{0} // no sale: read the time alone
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

// setClock takes the time of Redis as that of the middle of the read, if it was
// quick enough.
func (c *Catalog) setClock(asked, now time.Time) {
	if took := time.Since(asked); took <= slowest {
		c.clock.Store(&reading{redis: now, local: asked.Add(took / 2)})
	}
}

// Run keeps the snapshots fresh until ctx is done.
func (c *Catalog) Run(ctx context.Context) error {
	changed, unknown := make(chan struct{}, 1), make(chan struct{}, 1)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return c.ledger.Listen(ctx, nil, func(saleID int64) {
			wake(changed)
			if _, ok := c.Get(saleID); !ok { // a new sale, or messages were lost
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

// wake leaves one message; the refresh that takes it sees everything before it.
func wake(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// repeat refreshes at once, then at every tick and whenever it is woken. It logs
// when refreshing starts to fail and when it works again.
func (c *Catalog) repeat(ctx context.Context, what string, every time.Duration, woken <-chan struct{}, refresh func(context.Context) error) {
	tick, rest := time.NewTicker(every), time.NewTimer(0)
	defer tick.Stop()
	defer rest.Stop()
	failing := false
	for {
		err := refresh(ctx)
		if ctx.Err() != nil {
			return
		}
		switch {
		case err != nil && !failing:
			c.log.WarnContext(ctx, "sale snapshots are out of date", "store", what, "err", err)
		case err == nil && failing:
			c.log.InfoContext(ctx, "sale snapshots are up to date again", "store", what)
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
