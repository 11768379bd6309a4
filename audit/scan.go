package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"seckill/internal/loop"
	"seckill/order"
	"seckill/stock"
)

type auditRows interface {
	Sale(ctx context.Context, id int64) (order.Sale, error)
	Verdicts(ctx context.Context, os []order.Order) (decided []order.Verdict, undecided []order.Order, err error)
	LiveOrders(ctx context.Context, saleID int64, after order.SlotCursor, limit int) (page []order.Record, next order.SlotCursor, err error)
}

type auditEntries interface {
	Metas(ctx context.Context, saleIDs []int64) ([]stock.Meta, error)
	Scan(ctx context.Context, saleID int64, cursor uint64, count int64) (es []stock.Entry, next uint64, err error)
	EntriesOf(ctx context.Context, saleID int64, shoppers []string) ([]stock.Entry, error)
}

const (
	// Grace is how long a discrepancy may be work in progress: between a commit
	// and its write-back the stores differ rightly.
	Grace = 5 * time.Second
	// A page is small: while Redis reads one it serves nobody else.
	entriesAtOnce = 100
	rowsAtOnce    = 250
	// maxSuspects bounds what a pass looks at twice; the next one finds more.
	maxMismatches = 5000
)

// errMoved: the sale was loaded or unloaded meanwhile, so that nothing can be
// said of it.
var errMoved = errors.New("the sale was loaded anew during the audit")

// pass compares every order of one sale, a page at a time: first each entry of
// Redis with its row, then each live row with its entry. What differs is looked
// at once more when the grace is over. For one use.
type scan struct {
	rows    auditRows
	entries auditEntries
	saleID  int64
	// rest is called after each page with the time that it took.
	rest  func(ctx context.Context, took time.Duration) error
	grace time.Duration

	suspects  map[who]*mismatch
	uncounted int // suspects beyond maxSuspects
	lastSeen  time.Time
	epoch     uint64
	units     int64 // sold as it began
	// before and after are the sale as it was around the reading of the rows.
	before, after order.Sale
	liveUnits     int64
}

// who is an order of the sale: those of two shoppers may have one ID.
type who struct {
	id      order.ID
	shopper string
}

func whose(o order.Order) who { return who{o.ID, o.ShopperID} }

// suspect is an order that was found to differ.
type mismatch struct {
	order.Order
	kind, detail string
	entry        *stock.Entry
	verdict      *order.Verdict
}

func newScan(rows auditRows, entries auditEntries, saleID int64, grace time.Duration, rest func(context.Context, time.Duration) error) *scan {
	return &scan{rows: rows, entries: entries, saleID: saleID, grace: grace, rest: rest, suspects: map[who]*mismatch{}}
}

// run returns the orders that differ and did so a grace ago as well.
func (p *scan) run(ctx context.Context) ([]*mismatch, error) {
	m, err := p.meta(ctx)
	if err != nil {
		return nil, err
	}
	p.epoch, p.units = m.Epoch, m.Pending+m.Settled
	if err := p.readEntries(ctx); err != nil {
		return nil, err
	}
	if err := p.readRows(ctx); err != nil {
		return nil, err
	}
	if len(p.suspects) == 0 {
		return nil, p.same(ctx)
	}
	if err := loop.Pause(ctx, time.Until(p.lastSeen.Add(p.grace))); err != nil {
		return nil, err
	}
	return p.lookAgain(ctx)
}

func (p *scan) meta(ctx context.Context) (stock.Meta, error) {
	ms, err := p.entries.Metas(ctx, []int64{p.saleID})
	if err != nil {
		return stock.Meta{}, fmt.Errorf("read sale %d in Redis: %w", p.saleID, err)
	}
	if !ms[0].Loaded {
		return stock.Meta{}, errMoved
	}
	return ms[0], nil
}

// same is errMoved when Redis holds another load than at the beginning.
func (p *scan) same(ctx context.Context) error {
	m, err := p.meta(ctx)
	if err == nil && m.Epoch != p.epoch {
		err = errMoved
	}
	return err
}

func (p *scan) readEntries(ctx context.Context) error {
	for cursor, first := uint64(0), true; first || cursor != 0; first = false {
		start := time.Now()
		es, next, err := p.entries.Scan(ctx, p.saleID, cursor, entriesAtOnce)
		if err != nil {
			return err
		}
		cursor = next
		live := es[:0]
		for _, e := range es {
			if e.State.Live() { // a dead one is held against the live rows
				live = append(live, e)
			}
		}
		if err := p.judgeEntries(ctx, live); err != nil {
			return err
		}
		if err := p.rest(ctx, time.Since(start)); err != nil {
			return err
		}
	}
	return nil
}

func (p *scan) judgeEntries(ctx context.Context, es []stock.Entry) error {
	for len(es) > 0 { // a small sale comes in one piece, whatever was asked for
		some := es[:min(len(es), rowsAtOnce)]
		es = es[len(some):]
		verdicts, err := p.verdicts(ctx, ordersOf(some))
		if err != nil {
			return err
		}
		for i := range some {
			p.judge(some[i].Order, &some[i], verdicts[whose(some[i].Order)])
		}
	}
	return nil
}

func (p *scan) readRows(ctx context.Context) (err error) {
	if p.before, err = p.rows.Sale(ctx, p.saleID); err != nil {
		return fmt.Errorf("read sale %d: %w", p.saleID, err)
	}
	for after, first := (order.SlotCursor{}), true; first || after != (order.SlotCursor{}); first = false {
		start := time.Now()
		page, next, err := p.rows.LiveOrders(ctx, p.saleID, after, rowsAtOnce)
		if err != nil {
			return err
		}
		after = next
		if err := p.judgeRows(ctx, page); err != nil {
			return err
		}
		if err := p.rest(ctx, time.Since(start)); err != nil {
			return err
		}
	}
	if p.after, err = p.rows.Sale(ctx, p.saleID); err != nil {
		return fmt.Errorf("read sale %d: %w", p.saleID, err)
	}
	return nil
}

func (p *scan) judgeRows(ctx context.Context, page []order.Record) error {
	os := make([]order.Order, len(page))
	for i, r := range page {
		os[i] = r.Order
		p.liveUnits += int64(r.Quantity)
	}
	entries, err := p.entriesOf(ctx, os)
	if err != nil {
		return err
	}
	for _, r := range page {
		v := r.Verdict()
		p.judge(r.Order, entries[whose(r.Order)], &v)
	}
	return nil
}

// judge notes an order that differs, unless it is so young that it may.
func (p *scan) judge(o order.Order, e *stock.Entry, v *order.Verdict) {
	age := time.Since(o.ID.Time()).Abs() // a date in the future: a wrong clock; the second look comes after the grace anyway
	kind, detail := compare(e, v, age)
	if kind == "" || age < p.grace {
		return
	}
	if _, known := p.suspects[whose(o)]; !known && len(p.suspects) == maxMismatches {
		p.uncounted++
		return
	}
	p.suspects[whose(o)] = &mismatch{Order: o, kind: kind, detail: detail, entry: e, verdict: v}
	p.lastSeen = time.Now()
}

// lookAgain keeps of the suspects those that differ in the same way as before.
func (p *scan) lookAgain(ctx context.Context) ([]*mismatch, error) {
	m, err := p.meta(ctx)
	if err != nil {
		return nil, err
	}
	// What the tail has yet to apply explains itself.
	behind := m.Applied < p.after.Seq
	all := make([]*mismatch, 0, len(p.suspects))
	for _, s := range p.suspects {
		all = append(all, s)
	}
	var stand []*mismatch
	for len(all) > 0 {
		some := all[:min(len(all), rowsAtOnce)]
		all = all[len(some):]
		now, err := p.look(ctx, some)
		if err != nil {
			return nil, err
		}
		for i, s := range now {
			if s.kind != "" && s.kind == some[i].kind && (!behind || s.entry != nil) {
				stand = append(stand, s)
			}
		}
	}
	slices.SortFunc(stand, func(a, b *mismatch) int { return cmp.Compare(a.ID, b.ID) })
	return stand, p.same(ctx)
}

// look compares the orders as they are now. The kind of those that agree is empty.
func (p *scan) look(ctx context.Context, of []*mismatch) ([]*mismatch, error) {
	os := make([]order.Order, len(of))
	for i, s := range of {
		os[i] = s.Order
	}
	entries, err := p.entriesOf(ctx, os)
	if err != nil {
		return nil, err
	}
	verdicts, err := p.verdicts(ctx, os)
	if err != nil {
		return nil, err
	}
	now := make([]*mismatch, len(os))
	for i, o := range os {
		s := &mismatch{Order: o, entry: entries[whose(o)], verdict: verdicts[whose(o)]}
		s.kind, s.detail = compare(s.entry, s.verdict, time.Since(o.ID.Time()).Abs())
		now[i] = s
	}
	return now, nil
}

func (p *scan) verdicts(ctx context.Context, os []order.Order) (map[who]*order.Verdict, error) {
	decided, _, err := p.rows.Verdicts(ctx, os)
	if err != nil {
		return nil, fmt.Errorf("read verdicts of sale %d: %w", p.saleID, err)
	}
	byOrder := make(map[who]*order.Verdict, len(decided))
	for i := range decided {
		byOrder[whose(decided[i].Order)] = &decided[i]
	}
	return byOrder, nil
}

func (p *scan) entriesOf(ctx context.Context, os []order.Order) (map[who]*stock.Entry, error) {
	shoppers := make([]string, len(os))
	for i, o := range os {
		shoppers[i] = o.ShopperID
	}
	es, err := p.entries.EntriesOf(ctx, p.saleID, shoppers)
	if err != nil {
		return nil, err
	}
	byOrder := make(map[who]*stock.Entry, len(es))
	for i := range es {
		byOrder[whose(es[i].Order)] = &es[i]
	}
	return byOrder, nil
}

func ordersOf(es []stock.Entry) []order.Order {
	os := make([]order.Order, len(es))
	for i, e := range es {
		os[i] = e.Order
	}
	return os
}

// discrepancy is how s is listed.
func (s *mismatch) discrepancy() Discrepancy {
	return Discrepancy{Kind: s.kind, OrderID: s.ID.String(), Detail: s.detail + advice(s.kind, s.SaleID)}
}
