package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"seckill/internal/failpoint"
	"seckill/internal/loop"
	"seckill/order"
	"seckill/queue"
	"seckill/stock"
)

type loadStore interface {
	sales
	RaiseEpoch(ctx context.Context, saleID int64) (uint64, error)
	Snapshot(ctx context.Context, saleID int64, page func([]order.Record) error, returns func([]order.Returns) error) (order.Sale, error)
}

type opener interface {
	Operate(ctx context.Context, op order.Operation) (order.Sale, error)
}

type loadLedger interface {
	metas
	claims
	Begin(ctx context.Context, s order.Sale) (*stock.Loading, error)
}

// offsets reads the ends of the queue and how far the consumers have come.
type offsets interface {
	MaxOffsets(ctx context.Context) (queue.Offsets, error)
	Committed(ctx context.Context) (queue.Offsets, error)
}

// Loader puts sales into Redis: at an operator's command, 10 minutes before they
// start, and again when Redis has lost them.
type Loader struct {
	store  loadStore
	opener opener
	ledger loadLedger
	queue  offsets
	log    *slog.Logger

	unopened map[int64]bool // sales that the last step could not open

	mu      sync.Mutex
	loading map[int64]bool // sales this process is loading
	wg      sync.WaitGroup
}

// NewLoader returns a Loader.
func NewLoader(store loadStore, opener opener, ledger loadLedger, queue offsets, log *slog.Logger) *Loader {
	return &Loader{store: store, opener: opener, ledger: ledger, queue: queue, log: log, loading: map[int64]bool{}}
}

const (
	loadAhead   = 10 * time.Minute
	loadTimeout = 5 * time.Minute // 50 million orders at the pace of a snapshot
	loadTries   = 3
	maxLoading  = 4 // sales one process loads at a time
	// queueWait is how long a load waits for the orders that were in the queue, so
	// that fewer are adopted late. Correctness does not depend on it.
	queueWait = 8 * time.Second
	// While one process takes its snapshot, the others wait; for a dead process
	// they wait until its claim ends.
	loadName  = "load"
	loadLease = 3 * time.Second
)

// Run opens the sales that start within 10 minutes, and loads those that should
// be in Redis but are not, until ctx is done. A long load does not delay others.
func (l *Loader) Run(ctx context.Context) error {
	defer l.wg.Wait()
	return loop.EverySecond(ctx, l.log, "load", func(step context.Context) error { return l.step(step, ctx) })
}

// step checks every sale once and starts the loads that are due, under loadCtx. It
// takes the sales in random order, so that sales whose loads keep failing do not
// block the others.
func (l *Loader) step(ctx, loadCtx context.Context) error {
	ss, err := l.store.Sales(ctx)
	if err != nil {
		return fmt.Errorf("list sales: %w", err)
	}
	ms, unread := l.ledger.Metas(ctx, order.SaleIDs(ss))
	unopened := map[int64]bool{}
	for _, i := range rand.Perm(len(ss)) {
		s := ss[i]
		if s.State == order.SaleScheduled && time.Until(s.StartsAt) < loadAhead {
			unopened[s.ID] = !l.open(ctx, s) // the next step loads it
		}
		if s.State.Loaded() && ms[i].Err == nil && !ms[i].Loaded && l.begin(s.ID) {
			l.wg.Go(func() { l.background(loadCtx, s.ID) })
		}
	}
	l.unopened = unopened
	return unread
}

// open opens a sale that starts soon, and reports whether it is open. A failure
// is logged once and does not keep other sales from being opened. The command ID
// is derived from the sale's, so the first process opens it. A sale whose window
// was moved since it was read is not opened: its price would be fixed for good.
func (l *Loader) open(ctx context.Context, s order.Sale) bool {
	_, err := l.opener.Operate(ctx, onTime("open", s, order.SaleOpen))
	switch {
	case err == nil:
		l.log.InfoContext(ctx, "sale opened on time", "sale_id", s.ID, "starts_at", s.StartsAt)
	case superseded(err): // the next step reads the new state
	default:
		if !l.unopened[s.ID] && ctx.Err() == nil {
			l.log.WarnContext(ctx, "sale not opened, will try again", "sale_id", s.ID, "starts_at", s.StartsAt, "err", err)
		}
		return false
	}
	return true
}

// onTime returns the operation that opens or ends a sale on time. The first
// process performs it, and only on the version of the sale that was read.
func onTime(what string, s order.Sale, to order.SaleState) order.Operation {
	return order.Operation{
		Command: fmt.Sprintf("%s-on-time-%d", what, s.ID), SaleID: s.ID, IfVersion: s.Version, Action: order.Moving(what, to),
	}
}

// superseded reports whether an operator has changed the sale meanwhile.
func superseded(err error) bool {
	return errors.Is(err, order.ErrConflict) || errors.Is(err, order.ErrStale)
}

func (l *Loader) begin(saleID int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.loading[saleID] || len(l.loading) >= maxLoading {
		return false
	}
	l.loading[saleID] = true
	return true
}

func (l *Loader) background(ctx context.Context, saleID int64) {
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.loading, saleID)
	}()
	start := time.Now()
	if err := l.Load(ctx, saleID); err != nil {
		l.log.WarnContext(ctx, "sale not loaded, will try again", "sale_id", saleID, "err", err)
		return
	}
	l.log.InfoContext(ctx, "sale loaded", "sale_id", saleID, "took", time.Since(start))
}

// Load loads a sale with all its live orders. It does nothing for a sale that is
// already loaded, perhaps by another process meanwhile.
func (l *Loader) Load(ctx context.Context, saleID int64) error {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	for try := 1; ; try++ {
		err := l.load(ctx, saleID)
		if errors.Is(err, stock.ErrLoaded) {
			return nil
		}
		if !errors.Is(err, stock.ErrIncomplete) || try == loadTries {
			return err
		}
	}
}

func (l *Loader) load(ctx context.Context, saleID int64) error {
	ms, err := l.ledger.Metas(ctx, []int64{saleID})
	if err != nil {
		return fmt.Errorf("read sale %d in Redis: %w", saleID, err)
	}
	if ms[0].Loaded {
		return stock.ErrLoaded
	}
	epoch, err := l.store.RaiseEpoch(ctx, saleID)
	if err != nil {
		return fmt.Errorf("raise the epoch of sale %d: %w", saleID, err)
	}
	if epoch > 1 { // before the first load, the queue has no order of the sale
		l.awaitQueue(ctx)
	}
	if err := l.claim(ctx, saleID); err != nil {
		return err
	}
	defer func() { _ = l.ledger.Release(context.WithoutCancel(ctx), saleID, loadName) }() // the claim expires otherwise
	into, err := l.ledger.Begin(ctx, order.Sale{ID: saleID, Epoch: epoch})
	if err != nil {
		return fmt.Errorf("begin to load sale %d: %w", saleID, err)
	}
	kept := time.Now()
	keep := func() error {
		if time.Since(kept) <= loadLease/3 {
			return nil
		}
		kept = time.Now()
		return l.ledger.Keep(ctx, saleID, loadName, loadLease)
	}
	sale, err := l.store.Snapshot(ctx, saleID,
		func(rs []order.Record) error { return errors.Join(keep(), into.Add(ctx, rs)) },
		func(rs []order.Returns) error { return errors.Join(keep(), into.AddReturns(ctx, rs)) })
	if err == nil {
		err = failpoint.Hit(ctx, failpoint.BeforeRename)
	}
	if err == nil {
		err = into.Finish(ctx, sale)
	}
	if err != nil {
		err = fmt.Errorf("load sale %d: %w", saleID, err)
		return errors.Join(err, into.Abort(context.WithoutCancel(ctx)))
	}
	return nil
}

// claim waits until no other process is loading the sale. It returns
// stock.ErrLoaded when another one has loaded it. The claim only saves work: of
// loads that overlap, one wins.
func (l *Loader) claim(ctx context.Context, saleID int64) error {
	for {
		mine, err := l.ledger.Claim(ctx, saleID, loadName, loadLease)
		if mine || err != nil {
			return err
		}
		if err := loop.Pause(ctx, 200*time.Millisecond); err != nil {
			return fmt.Errorf("wait for another load of sale %d: %w", saleID, err)
		}
		ms, err := l.ledger.Metas(ctx, []int64{saleID})
		if err != nil {
			return fmt.Errorf("read sale %d in Redis: %w", saleID, err)
		}
		if ms[0].Loaded {
			return stock.ErrLoaded
		}
	}
}

// awaitQueue waits until the consumers have passed what was in the queue, so that
// most orders in flight are rows at the time of the snapshot.
func (l *Loader) awaitQueue(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, queueWait)
	defer cancel()
	mark, err := l.queue.MaxOffsets(ctx)
	if err != nil {
		l.log.WarnContext(ctx, "loading without waiting for the queue", "err", err)
		return
	}
	t := time.NewTicker(200 * time.Millisecond)
	defer t.Stop()
	for {
		if at, err := l.queue.Committed(ctx); err == nil && at.Passed(mark) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}
