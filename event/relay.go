package event

import (
	"context"
	crypto "crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"seckill/internal/failpoint"
	"seckill/order"
	"seckill/queue"
)

type store interface { //nolint:interfacebloat // a log and its cursors
	EventsBehind(ctx context.Context, closed bool, limit int) ([]order.EventCursor, error)
	EventPage(ctx context.Context, saleID int64, after uint64, orders int) (es []order.Event, through uint64, more bool, err error)
	HoldEvents(ctx context.Context, saleID int64, holder string, lease time.Duration) (seq uint64, held bool, err error)
	MoveEvents(ctx context.Context, saleID int64, holder string, seq uint64, lease time.Duration) error
	ReleaseEvents(ctx context.Context, saleID int64, holder string) error
}

type publisher interface {
	// Publish stores messages, those of one order in the given order. Nil means
	// that all are stored; after an error, any of them may be.
	Publish(ctx context.Context, ms []queue.EventMessage) error
}

const (
	// lease is how long the sales of a killed process wait for another one.
	lease = 10 * time.Second
	// stepFor is how long a step starts new pages; one takes tens of milliseconds.
	stepFor  = 2 * time.Second
	maxSales = 1000
	pageSize = 2048 // orders: about a megabyte of messages
	// warnEvery is the time between warnings about a sale whose log cannot be read.
	warnEvery = 5 * time.Minute
	// closedEvery is the number of steps between checks of closed sales.
	closedEvery = 10
)

// Relay sends the events of all sales. A sale's cursor in the database moves over
// a page of changes only after all their events are stored: a process that
// continues from there misses nothing and repeats at most the last page. A lease
// keeps processes from doing the same work; two that do it anyway repeat events,
// also late ones, which a reader drops by their sequence.
type Relay struct {
	store     store
	publisher publisher
	seal      Seal
	log       *slog.Logger
	metrics   *metrics
	holder    string

	steps  int
	closed []order.EventCursor // closed sales with unsent events
	held   map[int64]time.Time // sales that this process has a lease on, until when
	small  map[int64]int       // page sizes of sales whose pages failed
	warned map[int64]time.Time // last warning that a sale's log cannot be read
}

// Options are the dependencies of a Relay.
type Options struct {
	Store     store
	Publisher publisher
	Seal      Seal // may be nil: events have no public IDs
	Metrics   prometheus.Registerer
	Log       *slog.Logger // for sales whose log cannot be read, every five minutes each
}

// errUnread is returned for a page that could not be read.
var errUnread = errors.New("event: log of changes not read")

// NewRelay returns a Relay; call Step once a second, from one goroutine, and
// Release at the end.
func NewRelay(o Options) *Relay {
	return &Relay{
		store: o.Store, publisher: o.Publisher, seal: o.Seal, log: o.Log, metrics: newMetrics(o.Metrics), holder: crypto.Text(),
		held: map[int64]time.Time{}, small: map[int64]int{}, warned: map[int64]time.Time{},
	}
}

// turn is the next page of a sale.
type turn struct {
	saleID int64
	seq    uint64 // everything up to it is sent
}

// Step sends unsent events for at most two seconds, one page of each sale in turn;
// the next step continues. A sale with less than a page left gets its next turn a
// second later: few reads, sends and cursor moves keep the events from slowing
// down settling. Step returns the errors of the sales whose pages failed, and of
// ctx when it ended the step. A sale whose log cannot be read is only logged: the
// other sales are not affected.
func (r *Relay) Step(ctx context.Context) error {
	end := time.Now().Add(stepFor)
	behind, err := r.behind(ctx)
	if err != nil {
		return err
	}
	turns, errs := r.take(ctx, behind)
	for len(turns) > 0 {
		var next []turn
		for _, t := range turns {
			if ctx.Err() != nil || time.Now().After(end) {
				return errors.Join(append(errs, ctx.Err())...)
			}
			if time.Now().After(r.held[t.saleID]) { // the other sales took too long
				continue
			}
			seq, more, err := r.send(ctx, t)
			r.size(t.saleID, err == nil)
			switch {
			case errors.Is(err, errUnread) && ctx.Err() == nil:
				r.unreadable(ctx, t, err)
			case err != nil:
				errs = append(errs, fmt.Errorf("events of sale %d: %w", t.saleID, err))
			}
			if more {
				next = append(next, turn{t.saleID, seq})
			}
		}
		turns = next
	}
	return errors.Join(errs...)
}

// behind returns the sales with unsent events.
func (r *Relay) behind(ctx context.Context) (behind []order.EventCursor, err error) {
	behind, err = r.store.EventsBehind(ctx, false, maxSales)
	if err == nil && (r.steps%closedEvery == 0 || len(r.closed) > 0) {
		r.closed, err = r.store.EventsBehind(ctx, true, maxSales)
	}
	if err != nil {
		return nil, fmt.Errorf("read the event cursors: %w", err)
	}
	r.steps++
	behind = append(behind, r.closed...)
	r.metrics.lag(behind)
	return behind, nil
}

// take takes a lease on the sales that are free, and returns the turns of all
// sales of this process in random order: if one step does not reach all of them,
// none is always the last.
func (r *Relay) take(ctx context.Context, behind []order.EventCursor) (turns []turn, errs []error) {
	maps.DeleteFunc(r.held, func(_ int64, until time.Time) bool { return time.Now().After(until) })
	maps.DeleteFunc(r.small, func(saleID int64, _ int) bool { return !among(behind, saleID) })
	maps.DeleteFunc(r.warned, func(saleID int64, _ time.Time) bool { return !among(behind, saleID) })
	for _, c := range behind {
		t, mine := turn{c.SaleID, c.Seq}, c.Holder == r.holder
		if _, known := r.held[c.SaleID]; c.Holder == "" || mine && !known {
			var err error
			until := time.Now().Add(lease)
			if t.seq, mine, err = r.store.HoldEvents(ctx, c.SaleID, r.holder, lease); err != nil {
				errs = append(errs, err)
			}
			if mine {
				r.held[c.SaleID] = until
			}
		}
		if mine {
			turns = append(turns, t)
		}
	}
	rand.Shuffle(len(turns), func(i, j int) { turns[i], turns[j] = turns[j], turns[i] })
	return turns, errs
}

func among(cs []order.EventCursor, saleID int64) bool {
	return slices.ContainsFunc(cs, func(c order.EventCursor) bool { return c.SaleID == saleID })
}

// page is the size of a sale's next page in orders.
func (r *Relay) page(saleID int64) int {
	if n, ok := r.small[saleID]; ok {
		return n
	}
	return pageSize
}

// size halves the pages of a sale while they fail, down to one change, and doubles
// them with each success. Otherwise a page that takes too long, or has an event
// that the broker refuses, would be sent in part again and again.
func (r *Relay) size(saleID int64, sent bool) {
	n := r.page(saleID)
	switch {
	case !sent:
		r.small[saleID] = max(1, n/2)
	case 2*n < pageSize:
		r.small[saleID] = 2 * n
	default:
		delete(r.small, saleID)
	}
}

// unreadable warns that a sale's events wait for its log.
func (r *Relay) unreadable(ctx context.Context, t turn, err error) {
	if at, ok := r.warned[t.saleID]; ok && time.Since(at) < warnEvery {
		return
	}
	r.warned[t.saleID] = time.Now()
	r.log.WarnContext(ctx, "events of a sale wait: cannot read its log of changes", "sale_id", t.saleID, "after", t.seq, "err", err)
}

func (r *Relay) readable(ctx context.Context, saleID int64) {
	if _, ok := r.warned[saleID]; ok {
		delete(r.warned, saleID)
		r.log.InfoContext(ctx, "events of a sale continue: its log of changes can be read again", "sale_id", saleID)
	}
}

// send sends one page, then moves the cursor over it. It returns the last change
// whose events are sent, and whether there is another page.
func (r *Relay) send(ctx context.Context, t turn) (seq uint64, more bool, err error) {
	es, through, more, err := r.store.EventPage(ctx, t.saleID, t.seq, r.page(t.saleID))
	if err != nil {
		return t.seq, false, fmt.Errorf("%w: %w", errUnread, err)
	}
	r.readable(ctx, t.saleID)
	if through == t.seq {
		return t.seq, false, nil
	}
	if err := r.publish(ctx, es); err != nil {
		return t.seq, false, err
	}
	if err := failpoint.Hit(ctx, failpoint.EventsSent); err != nil {
		return t.seq, false, err
	}
	until := time.Now().Add(lease)
	if err := r.store.MoveEvents(ctx, t.saleID, r.holder, through, lease); err != nil {
		return t.seq, false, err
	}
	r.held[t.saleID] = until
	return through, more, nil
}

func (r *Relay) publish(ctx context.Context, es []order.Event) error {
	if len(es) == 0 { // changes of the sale itself
		return nil
	}
	ms := make([]queue.EventMessage, len(es))
	for i, e := range es {
		ms[i] = message(e, r.seal)
	}
	defer r.renewLease(ctx, es[0].SaleID)()
	began := time.Now()
	err := r.publisher.Publish(ctx, ms)
	r.metrics.sent(ms, time.Since(began), err)
	return err
}

// renewLease renews the lease of a sale until the returned function is called, so
// that no other process sends a page that takes longer than a lease.
func (r *Relay) renewLease(ctx context.Context, saleID int64) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var kept sync.WaitGroup
	kept.Go(func() {
		t := time.NewTicker(lease / 3)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				until := time.Now().Add(lease)
				if _, held, err := r.store.HoldEvents(ctx, saleID, r.holder, lease); held && err == nil {
					r.held[saleID] = until // otherwise the page may be sent twice
				}
			case <-ctx.Done():
				return
			}
		}
	})
	return func() { cancel(); kept.Wait() }
}

// Release ends the leases, so that other processes continue at once.
func (r *Relay) Release(ctx context.Context) error {
	var errs []error
	for saleID := range r.held {
		errs = append(errs, r.store.ReleaseEvents(ctx, saleID, r.holder))
	}
	clear(r.held)
	return errors.Join(errs...)
}
