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
	auditEntries
	healing
	claims
}

type backgroundStore interface {
	tallies
	CountDeadLetters(ctx context.Context) (order.DeadLetterCount, error)
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

// Patrol audits the sales in Redis for as long as the process runs: every 5 s
// their counters, in every process; once a minute all their orders, by one
// process of the fleet. An order that differs for longer than the grace is
// healed by replaying its verdict, never by setting a counter. What no replay
// heals is logged with what an operator can do.
type Background struct {
	store  backgroundStore
	ledger backgroundLedger
	log    *slog.Logger
	m      *metrics
	grace  time.Duration

	mu      sync.Mutex
	passing map[int64]bool // sales this process is reading through, or will
	slots   chan struct{}  // bounds those that it is reading through
	wg      sync.WaitGroup

	// The rest is used by step alone.
	seen  map[int64]map[string]sighting // the discrepancies of the last look
	tried map[int64]time.Time           // when a pass was last claimed, or not got
}

// sighting is a discrepancy of a sale as a whole since it was first seen.
type sighting struct {
	since time.Time
	seq   uint64
	told  bool
}

const (
	patrolEvery = 5 * time.Second
	passName    = "audit"
	// A pass is claimed for a little less than the minute after which the next
	// one is due, by whoever tries first.
	passLease = 55 * time.Second
	tryEvery  = 15 * time.Second
	maxPasses = 2 // at a time in one process
	// maxLogged bounds the lines of one pass; the metrics count the rest.
	maxLogged = 20
)

// NewPatrol returns a Patrol that exports its findings to reg.
func NewBackground(store backgroundStore, ledger backgroundLedger, grace time.Duration, reg prometheus.Registerer, log *slog.Logger) *Background {
	return &Background{
		store: store, ledger: ledger, log: log, m: newMetrics(reg), grace: grace,
		passing: map[int64]bool{}, slots: make(chan struct{}, maxPasses),
		seen: map[int64]map[string]sighting{}, tried: map[int64]time.Time{},
	}
}

// Run audits until ctx is done.
func (p *Background) Run(ctx context.Context) error {
	defer p.wg.Wait()
	return loop.Every(ctx, patrolEvery, p.log, "audit", func(step context.Context) error { return p.step(step, ctx) })
}

// step looks at every sale's counters, and begins the passes that are due;
// these live as long as life.
func (p *Background) step(ctx, life context.Context) error {
	ss, err := p.store.Sales(ctx)
	if err != nil {
		return fmt.Errorf("list sales: %w", err)
	}
	letters, err := p.store.CountDeadLetters(ctx)
	if err != nil {
		return err
	}
	p.m.letters(letters)
	ms, err := p.ledger.Metas(ctx, order.SaleIDs(ss))
	listed, loaded := map[int64]bool{}, map[int64]bool{}
	for i, s := range ss {
		listed[s.ID] = true
		if ms[i].Err != nil {
			loaded[s.ID] = true // nothing is known to have changed
			continue
		}
		p.look(ctx, s, ms[i])
		if ms[i].Loaded {
			loaded[s.ID] = true
			p.scanSale(life, s.ID)
		}
	}
	p.forget(listed)
	p.m.keep(listed, loaded)
	if len(loaded) == 0 {
		p.m.lastSuccess.SetToCurrentTime() // nothing to read through
	}
	if err != nil {
		return fmt.Errorf("look at the sales in Redis: %w", err)
	}
	return nil
}

// forget drops what is remembered of sales that are closed.
func (p *Background) forget(listed map[int64]bool) {
	maps.DeleteFunc(p.seen, func(id int64, _ map[string]sighting) bool { return !listed[id] })
	maps.DeleteFunc(p.tried, func(id int64, _ time.Time) bool { return !listed[id] })
}

// look judges a sale by what two reads tell, whatever its size.
func (p *Background) look(ctx context.Context, s order.Sale, m stock.Meta) {
	var bad []Discrepancy
	switch {
	case m.Loaded:
		bad = metaDiscrepancies(s, m, int64(s.Total)-int64(s.Available))
	case s.State.Loaded():
		bad = []Discrepancy{{Kind: KindNotLoaded, Detail: fmt.Sprintf("the sale is %s but not in Redis", s.State)}}
	}
	before, now := p.seen[s.ID], map[string]sighting{}
	standing := []string{}
	for _, d := range bad {
		seen, again := before[d.Kind]
		// While changes are on their way, totals and units may differ.
		if moves := d.Kind == KindTotal || d.Kind == KindSettled; !again || moves && seen.seq != s.Seq {
			seen = sighting{since: time.Now()}
		}
		seen.seq = s.Seq
		if d.Kind == KindCursor && m.Applied >= before[d.Kind].seq {
			seen.since = time.Now() // it moves: what was behind 5 s ago has been applied
		}
		if time.Since(seen.since) >= p.grace*4/5 { // the ticks are not exact
			standing = append(standing, d.Kind)
			if !seen.told {
				p.log.ErrorContext(ctx, "audit: the sale does not add up", "sale_id", s.ID, "kind", d.Kind, "detail", d.Detail)
			}
			seen.told = true
		}
		now[d.Kind] = seen
	}
	for kind, seen := range before {
		if _, still := now[kind]; seen.told && !still {
			p.log.InfoContext(ctx, "audit: the sale adds up again", "sale_id", s.ID, "kind", kind)
		}
	}
	p.seen[s.ID] = now
	p.m.looked(s.ID, standing, m)
}

// pass reads through a sale, some at a time, if it is this process that is to.
func (p *Background) scanSale(ctx context.Context, saleID int64) {
	if time.Since(p.tried[saleID]) < tryEvery-time.Second || !p.begin(saleID) {
		return
	}
	p.tried[saleID] = time.Now()
	p.wg.Go(func() {
		defer p.end(saleID)
		select {
		case p.slots <- struct{}{}:
			defer func() { <-p.slots }()
		case <-ctx.Done():
			return
		}
		mine, err := p.ledger.Claim(ctx, saleID, passName, passLease)
		if mine && err == nil {
			err = p.Scan(ctx, saleID)
		}
		if err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, "audit: pass not finished", "sale_id", saleID, "err", err)
		}
	})
}

func (p *Background) begin(saleID int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.passing[saleID] {
		return false
	}
	p.passing[saleID] = true
	return true
}

func (p *Background) end(saleID int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.passing, saleID)
}
