package audit

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"seckill/internal/loop"
	"seckill/order"
	"seckill/stock"
)

type backgroundLedger interface {
	redisEntries
	healing
	claims
}

type backgroundStore interface {
	auditStore
	CountDeadLetters(ctx context.Context) (order.DeadLetterCount, error)
	OpenRefunds(ctx context.Context) (order.RefundCount, error)
}

type healing interface {
	Replay(ctx context.Context, vs []order.Verdict) error
	Urgent(ctx context.Context, saleID int64, os ...order.Order) error
}

type claims interface {
	Claim(ctx context.Context, saleID int64, work string, ttl time.Duration) (bool, error)
	Keep(ctx context.Context, saleID int64, work string, ttl time.Duration) error
	Release(ctx context.Context, saleID int64, work string) error
}

// Background audits the sales in Redis as long as the process runs. Every process
// checks their counters every 5 s; one process of the fleet scans all their orders
// once a minute. It heals an order that differs for longer than the grace by
// replaying its verdict, never by setting a counter. It logs what no replay heals,
// with what an operator can do.
type Background struct {
	store  backgroundStore
	ledger backgroundLedger
	log    *slog.Logger
	m      *metrics
	grace  time.Duration

	mu       sync.Mutex
	scanning map[int64]bool // sales that this process scans, or waits to scan
	slots    chan struct{}  // bounds the scans at a time
	wg       sync.WaitGroup

	// The rest is used by step alone.
	seen  map[int64]map[string]sighting // the discrepancies of the last check
	tried map[int64]time.Time           // when this process last tried to claim a scan
}

// sighting is a discrepancy of a sale as a whole.
type sighting struct {
	since  time.Time
	seq    uint64
	logged bool
}

const (
	checkEvery = 5 * time.Second
	scanClaim  = "audit"
	// A scan is claimed for a little less than a minute, after which the next one
	// is due.
	scanLease = 55 * time.Second
	tryEvery  = 15 * time.Second
	maxScans  = 2 // at a time in one process
	// maxLogged bounds the log lines of one scan; the metrics count the rest.
	maxLogged = 20
)

// NewBackground returns a Background that exports its findings to reg.
func NewBackground(store backgroundStore, ledger backgroundLedger, grace time.Duration, reg prometheus.Registerer, log *slog.Logger) *Background {
	return &Background{
		store: store, ledger: ledger, log: log, m: newMetrics(reg), grace: grace,
		scanning: map[int64]bool{}, slots: make(chan struct{}, maxScans),
		seen: map[int64]map[string]sighting{}, tried: map[int64]time.Time{},
	}
}

// Run audits until ctx is done.
func (b *Background) Run(ctx context.Context) error {
	defer b.wg.Wait()
	return loop.Every(ctx, checkEvery, b.log, "audit", func(step context.Context) error { return b.step(step, ctx) })
}

// step checks every sale's counters and starts the scans that are due; those run
// under scanCtx.
func (b *Background) step(ctx, scanCtx context.Context) error {
	ss, err := b.store.Sales(ctx)
	if err != nil {
		return fmt.Errorf("list sales: %w", err)
	}
	count, err := b.store.CountDeadLetters(ctx)
	if err != nil {
		return err
	}
	b.m.countDeadLetters(count)
	refunds, err := b.store.OpenRefunds(ctx)
	if err != nil {
		return err
	}
	b.m.countRefunds(refunds)
	ms, err := b.ledger.Metas(ctx, order.SaleIDs(ss))
	listed, loaded := map[int64]bool{}, map[int64]bool{}
	for i, s := range ss {
		listed[s.ID] = true
		if ms[i].Err != nil {
			loaded[s.ID] = true // keep what is known
			continue
		}
		b.checkSale(ctx, s, ms[i])
		if ms[i].Loaded {
			loaded[s.ID] = true
			b.scanSale(scanCtx, s.ID)
		}
	}
	b.forget(listed)
	b.m.keep(listed, loaded)
	if len(loaded) == 0 {
		b.m.lastSuccess.SetToCurrentTime() // there is nothing to scan
	}
	if err != nil {
		return fmt.Errorf("read the sales in Redis: %w", err)
	}
	return nil
}

// forget drops what is remembered of closed sales.
func (b *Background) forget(listed map[int64]bool) {
	maps.DeleteFunc(b.seen, func(id int64, _ map[string]sighting) bool { return !listed[id] })
	maps.DeleteFunc(b.tried, func(id int64, _ time.Time) bool { return !listed[id] })
}

// checkSale checks a sale as a whole. Two reads suffice, whatever its size.
func (b *Background) checkSale(ctx context.Context, s order.Sale, m stock.Meta) {
	before, now := b.seen[s.ID], map[string]sighting{}
	standing := []string{}
	for _, d := range metaDiscrepancies(s, m, int64(s.Total)-int64(s.Available)) {
		seen, again := before[d.Kind]
		// Totals and units may differ while changes are on their way.
		if moves := d.Kind == KindTotal || d.Kind == KindSettled; !again || moves && seen.seq != s.Seq {
			seen = sighting{since: time.Now()}
		}
		seen.seq = s.Seq
		if d.Kind == KindCursor && m.Applied >= before[d.Kind].seq {
			seen.since = time.Now() // the cursor moves: what was missing 5 s ago has been applied
		}
		if time.Since(seen.since) >= b.grace*4/5 { // ticks are not exact
			standing = append(standing, d.Kind)
			if !seen.logged {
				b.log.ErrorContext(ctx, "audit: the sale does not add up", "sale_id", s.ID, "kind", d.Kind, "detail", d.Detail)
			}
			seen.logged = true
		}
		now[d.Kind] = seen
	}
	for kind, seen := range before {
		if _, still := now[kind]; seen.logged && !still {
			b.log.InfoContext(ctx, "audit: the sale adds up again", "sale_id", s.ID, "kind", kind)
		}
	}
	b.seen[s.ID] = now
	b.m.checked(s.ID, standing, m)
}

// scanSale scans a sale in the background, if no other process does.
func (b *Background) scanSale(ctx context.Context, saleID int64) {
	if time.Since(b.tried[saleID]) < tryEvery-time.Second || !b.begin(saleID) {
		return
	}
	b.tried[saleID] = time.Now()
	b.wg.Go(func() {
		defer b.end(saleID)
		select {
		case b.slots <- struct{}{}:
			defer func() { <-b.slots }()
		case <-ctx.Done():
			return
		}
		mine, err := b.ledger.Claim(ctx, saleID, scanClaim, scanLease)
		if mine && err == nil {
			err = b.Scan(ctx, saleID)
		}
		if err != nil && ctx.Err() == nil {
			b.log.WarnContext(ctx, "audit: scan not finished", "sale_id", saleID, "err", err)
		}
	})
}

func (b *Background) begin(saleID int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.scanning[saleID] {
		return false
	}
	b.scanning[saleID] = true
	return true
}

func (b *Background) end(saleID int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.scanning, saleID)
}
