package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"seckill/internal/loop"
	"seckill/order"
	"seckill/stock"
)

type orderRows interface {
	Sale(ctx context.Context, id int64) (order.Sale, error)
	Verdicts(ctx context.Context, os []order.Order) (decided []order.Verdict, undecided []order.Order, err error)
	LiveOrders(ctx context.Context, saleID int64, after order.SlotCursor, limit int) (page []order.Record, next order.SlotCursor, err error)
}

type redisEntries interface {
	Metas(ctx context.Context, saleIDs []int64) ([]stock.Meta, error)
	Scan(ctx context.Context, saleID int64, cursor uint64, count int64) (es []stock.Entry, next uint64, err error)
	EntriesOf(ctx context.Context, saleID int64, shoppers []string) ([]stock.Entry, error)
}

const (
	// Grace is how long a discrepancy may be work in progress: between a commit
	// and its write-back the stores differ rightly.
	Grace = 5 * time.Second
	// A page is small: Redis serves nobody else while it reads one.
	entriesAtOnce = 100
	rowsAtOnce    = 250
	// maxMismatches bounds what a scan checks twice; the next scan finds the rest.
	maxMismatches = 5000
)

// errReloaded: the sale was loaded or unloaded during the scan, so its orders
// cannot be compared.
var errReloaded = errors.New("the sale was loaded again during the audit")

// scan compares every order of one sale, a page at a time: first each entry in
// Redis with its row, then each live row with its entry. It checks what differs
// again when the grace is over. A scan is used once.
type scan struct {
	rows    orderRows
	entries redisEntries
	saleID  int64
	// pause is called after each page with the time that the page took.
	pause func(ctx context.Context, took time.Duration) error
	grace time.Duration

	mismatches map[orderKey]*mismatch
	uncounted  int // mismatches beyond maxMismatches
	lastFound  time.Time
	epoch      uint64
	units      int64 // sold when the scan began
	// before and after are the sale before and after its rows were read.
	before, after order.Sale
	liveUnits     int64
}

// orderKey names an order of the sale: orders of two shoppers may share an ID.
type orderKey struct {
	id      order.ID
	shopper string
}

func keyOf(o order.Order) orderKey { return orderKey{o.ID, o.ShopperID} }

// mismatch is an order that differs between the stores.
type mismatch struct {
	order.Order
	kind, detail string
	entry        *stock.Entry
	verdict      *order.Verdict
}

func newScan(rows orderRows, entries redisEntries, saleID int64, grace time.Duration, pause func(context.Context, time.Duration) error) *scan {
	return &scan{rows: rows, entries: entries, saleID: saleID, grace: grace, pause: pause, mismatches: map[orderKey]*mismatch{}}
}

// run returns the orders that differ now and already differed a grace ago.
func (s *scan) run(ctx context.Context) ([]*mismatch, error) {
	m, err := s.meta(ctx)
	if err != nil {
		return nil, err
	}
	s.epoch, s.units = m.Epoch, m.Pending+m.Settled
	if err := s.readEntries(ctx); err != nil {
		return nil, err
	}
	if err := s.readRows(ctx); err != nil {
		return nil, err
	}
	if len(s.mismatches) == 0 {
		return nil, s.checkEpoch(ctx)
	}
	if err := loop.Pause(ctx, time.Until(s.lastFound.Add(s.grace))); err != nil {
		return nil, err
	}
	return s.recheck(ctx)
}

func (s *scan) meta(ctx context.Context) (stock.Meta, error) {
	ms, err := s.entries.Metas(ctx, []int64{s.saleID})
	if err != nil {
		return stock.Meta{}, fmt.Errorf("read sale %d in Redis: %w", s.saleID, err)
	}
	if !ms[0].Loaded {
		return stock.Meta{}, errReloaded
	}
	return ms[0], nil
}

// checkEpoch returns errReloaded when Redis has another load than at the start.
func (s *scan) checkEpoch(ctx context.Context) error {
	m, err := s.meta(ctx)
	if err == nil && m.Epoch != s.epoch {
		err = errReloaded
	}
	return err
}

func (s *scan) readEntries(ctx context.Context) error {
	for cursor, first := uint64(0), true; first || cursor != 0; first = false {
		start := time.Now()
		es, next, err := s.entries.Scan(ctx, s.saleID, cursor, entriesAtOnce)
		if err != nil {
			return err
		}
		cursor = next
		live := es[:0]
		for _, e := range es {
			if e.State.Live() { // dead entries are compared when the live rows are read
				live = append(live, e)
			}
		}
		if err := s.judgeEntries(ctx, live); err != nil {
			return err
		}
		if err := s.pause(ctx, time.Since(start)); err != nil {
			return err
		}
	}
	return nil
}

func (s *scan) judgeEntries(ctx context.Context, es []stock.Entry) error {
	for some := range slices.Chunk(es, rowsAtOnce) { // Redis returns a small sale in one page, whatever the count
		verdicts, err := s.verdicts(ctx, ordersOf(some))
		if err != nil {
			return err
		}
		for i := range some {
			s.judge(some[i].Order, &some[i], verdicts[keyOf(some[i].Order)])
		}
	}
	return nil
}

func (s *scan) readRows(ctx context.Context) (err error) {
	if s.before, err = s.rows.Sale(ctx, s.saleID); err != nil {
		return fmt.Errorf("read sale %d: %w", s.saleID, err)
	}
	for after, first := (order.SlotCursor{}), true; first || after != (order.SlotCursor{}); first = false {
		start := time.Now()
		page, next, err := s.rows.LiveOrders(ctx, s.saleID, after, rowsAtOnce)
		if err != nil {
			return err
		}
		after = next
		if err := s.judgeRows(ctx, page); err != nil {
			return err
		}
		if err := s.pause(ctx, time.Since(start)); err != nil {
			return err
		}
	}
	if s.after, err = s.rows.Sale(ctx, s.saleID); err != nil {
		return fmt.Errorf("read sale %d: %w", s.saleID, err)
	}
	return nil
}

func (s *scan) judgeRows(ctx context.Context, page []order.Record) error {
	os := make([]order.Order, len(page))
	for i, r := range page {
		os[i] = r.Order
		s.liveUnits += int64(r.Quantity)
	}
	entries, err := s.entriesOf(ctx, os)
	if err != nil {
		return err
	}
	for _, r := range page {
		v := r.Verdict()
		s.judge(r.Order, entries[keyOf(r.Order)], &v)
	}
	return nil
}

// judge records an order that differs, unless it is so young that it may.
func (s *scan) judge(o order.Order, e *stock.Entry, v *order.Verdict) {
	age := time.Since(o.ID.Time()).Abs() // a time in the future is from a wrong clock; the second check comes after the grace anyway
	kind, detail := compare(e, v, age)
	if kind == "" || age < s.grace {
		return
	}
	if _, known := s.mismatches[keyOf(o)]; !known && len(s.mismatches) == maxMismatches {
		s.uncounted++
		return
	}
	s.mismatches[keyOf(o)] = &mismatch{Order: o, kind: kind, detail: detail, entry: e, verdict: v}
	s.lastFound = time.Now()
}

// recheck returns the mismatches that still differ in the same way.
func (s *scan) recheck(ctx context.Context) ([]*mismatch, error) {
	m, err := s.meta(ctx)
	if err != nil {
		return nil, err
	}
	// An order may be absent from Redis while the tail has changes to apply.
	behind := m.Applied < s.after.Seq
	var stand []*mismatch
	for some := range slices.Chunk(slices.Collect(maps.Values(s.mismatches)), rowsAtOnce) {
		now, err := s.compareNow(ctx, some)
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
	return stand, s.checkEpoch(ctx)
}

// compareNow compares the orders as they are now. The kind is empty where the
// stores agree.
func (s *scan) compareNow(ctx context.Context, of []*mismatch) ([]*mismatch, error) {
	os := make([]order.Order, len(of))
	for i, s := range of {
		os[i] = s.Order
	}
	entries, err := s.entriesOf(ctx, os)
	if err != nil {
		return nil, err
	}
	verdicts, err := s.verdicts(ctx, os)
	if err != nil {
		return nil, err
	}
	now := make([]*mismatch, len(os))
	for i, o := range os {
		s := &mismatch{Order: o, entry: entries[keyOf(o)], verdict: verdicts[keyOf(o)]}
		s.kind, s.detail = compare(s.entry, s.verdict, time.Since(o.ID.Time()).Abs())
		now[i] = s
	}
	return now, nil
}

func (s *scan) verdicts(ctx context.Context, os []order.Order) (map[orderKey]*order.Verdict, error) {
	decided, _, err := s.rows.Verdicts(ctx, os)
	if err != nil {
		return nil, fmt.Errorf("read verdicts of sale %d: %w", s.saleID, err)
	}
	byOrder := make(map[orderKey]*order.Verdict, len(decided))
	for i := range decided {
		byOrder[keyOf(decided[i].Order)] = &decided[i]
	}
	return byOrder, nil
}

func (s *scan) entriesOf(ctx context.Context, os []order.Order) (map[orderKey]*stock.Entry, error) {
	shoppers := make([]string, len(os))
	for i, o := range os {
		shoppers[i] = o.ShopperID
	}
	es, err := s.entries.EntriesOf(ctx, s.saleID, shoppers)
	if err != nil {
		return nil, err
	}
	byOrder := make(map[orderKey]*stock.Entry, len(es))
	for i := range es {
		byOrder[keyOf(es[i].Order)] = &es[i]
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

// discrepancy returns the Discrepancy to list for s.
func (s *mismatch) discrepancy() Discrepancy {
	return Discrepancy{Kind: s.kind, OrderID: s.ID.String(), Detail: s.detail + advice(s.kind, s.SaleID)}
}
