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

type loadable interface {
	sales
	RaiseEpoch(ctx context.Context, saleID int64) (uint64, error)
	Snapshot(ctx context.Context, saleID int64, page func([]order.Record) error) (order.Sale, error)
}

type opener interface {
	Operate(ctx context.Context, op order.Operation) (order.Sale, error)
}

type loading interface {
	metas
	claims
	Begin(ctx context.Context, s order.Sale) (*stock.Loading, error)
}

// offsets tells how far the consumers have come in the queue.
type offsets interface {
	MaxOffsets(ctx context.Context) (queue.Offsets, error)
	Committed(ctx context.Context) (queue.Offsets, error)
}

// Loader puts sales into Redis: at the operator's word, 10 minutes before they
// start, and again when Redis has lost them.
type Loader struct {
	store  loadable
	opener opener
	ledger loading
	queue  offsets
	log    *slog.Logger

	unopened map[int64]bool // sales that the last step could not open

	mu      sync.Mutex
	loading map[int64]bool // sales this process is loading
	wg      sync.WaitGroup
}

// NewLoader returns a Loader.
func NewLoader(store loadable, opener opener, ledger loading, queue offsets, log *slog.Logger) *Loader {
	return &Loader{store: store, opener: opener, ledger: ledger, queue: queue, log: log, loading: map[int64]bool{}}
}

const (
	loadAhead   = 10 * time.Minute
	loadTimeout = 5 * time.Minute // 50 million orders at the pace of a snapshot
	loadTries   = 3
	maxLoading  = 4 // sales one process loads at a time
	// queueWait is how long a rebuild waits for the orders that were in the
	// queue: fewer are adopted late. It is no condition of correctness.
	queueWait = 8 * time.Second
	// While one process takes its snapshot the others wait; one that has died is
	// waited for as long as its claim lasts.
	loadName  = "load"
	loadLease = 3 * time.Second
)

// Run opens the sales that start within 10 minutes, and loads those that
// should be in Redis and are not, until ctx is done. A long load holds up no
// other.
func (l *Loader) Run(ctx context.Context) error {
	defer l.wg.Wait()
	return loop.EverySecond(ctx, l.log, "load", func(step context.Context) error { return l.step(step, ctx) })
}

// step looks once; the loads that it begins live as long as life. It takes the
// sales in any order: those whose loads fail again and again leave their turn to
// the others.
func (l *Loader) step(ctx, life context.Context) error {
	ss, err := l.store.Sales(ctx)
	if err != nil {
		return fmt.Errorf("list sales: %w", err)
	}
	ms, unread := l.ledger.Metas(ctx, order.SaleIDs(ss))
	unopened := map[int64]bool{}
	for _, i := range rand.Perm(len(ss)) {
		s := ss[i]
		if s.State == order.SaleScheduled && time.Until(s.StartsAt) < loadAhead {
			unopened[s.ID] = !l.open(ctx, s) // loaded by the next step
		}
		if s.State.Loaded() && ms[i].Err == nil && !ms[i].Loaded && l.begin(s.ID) {
			l.wg.Go(func() { l.background(life, s.ID) })
		}
	}
	l.unopened = unopened
	return unread
}

// open opens a sale whose time has come, and reports whether that is done. One
// that cannot be opened keeps no other from it: it is logged when it begins to
// fail. The command's ID is the sale's: whichever process comes first opens it.
// Not one whose window was moved since it was read: its price would be fixed for
// good.
func (l *Loader) open(ctx context.Context, s order.Sale) bool {
	_, err := l.opener.Operate(ctx, onTime("open", s, order.SaleOpen))
	switch {
	case err == nil:
		l.log.InfoContext(ctx, "sale opened on time", "sale_id", s.ID, "starts_at", s.StartsAt)
	case superseded(err): // the next step reads what it has become
	default:
		if !l.unopened[s.ID] && ctx.Err() == nil {
			l.log.WarnContext(ctx, "sale not opened, will try again", "sale_id", s.ID, "starts_at", s.StartsAt, "err", err)
		}
		return false
	}
	return true
}

// onTime is the operation of whichever process comes first when a sale's time
// has come; of the sale as it was read, and no later one.
func onTime(what string, s order.Sale, to order.SaleState) order.Operation {
	return order.Operation{
		Command: fmt.Sprintf("%s-on-time-%d", what, s.ID), SaleID: s.ID, IfVersion: s.Version, Action: order.Moving(what, to),
	}
}

// superseded reports whether an operator was quicker.
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

// Load loads a sale with all its live orders. A sale that is loaded already,
// perhaps by another process in the meantime, is left alone: nil.
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
		return fmt.Errorf("look for sale %d in Redis: %w", saleID, err)
	}
	if ms[0].Loaded {
		return stock.ErrLoaded
	}
	epoch, err := l.store.RaiseEpoch(ctx, saleID)
	if err != nil {
		return fmt.Errorf("raise the epoch of sale %d: %w", saleID, err)
	}
	if epoch > 1 { // before its first load no order of it can be in the queue
		l.awaitQueue(ctx)
	}
	if err := l.claim(ctx, saleID); err != nil {
		return err
	}
	defer func() { _ = l.ledger.Release(context.WithoutCancel(ctx), saleID, loadName) }() // else it ends by itself
	into, err := l.ledger.Begin(ctx, order.Sale{ID: saleID, Epoch: epoch})
	if err != nil {
		return fmt.Errorf("begin to load sale %d: %w", saleID, err)
	}
	kept := time.Now()
	sale, err := l.store.Snapshot(ctx, saleID, func(rs []order.Record) error {
		if time.Since(kept) > loadLease/3 {
			kept = time.Now()
			if err := l.ledger.Keep(ctx, saleID, loadName, loadLease); err != nil {
				return err
			}
		}
		return into.Add(ctx, rs)
	})
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

// claim waits until no other process is loading the sale. The error is
// stock.ErrLoaded when one has done so. It saves work, no more: loads that
// overlap end with one of them in place.
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
			return fmt.Errorf("look for sale %d in Redis: %w", saleID, err)
		}
		if ms[0].Loaded {
			return stock.ErrLoaded
		}
	}
}

// awaitQueue waits until the consumers have passed what stood in the queue,
// so that most orders in flight are rows by the time of the snapshot.
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
