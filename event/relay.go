package event

import (
	"context"
	crypto "crypto/rand"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"seckill/internal/failpoint"
	"seckill/order"
)

type store interface { //nolint:interfacebloat // a log, and a cursor over it
	EventsBehind(ctx context.Context, closed bool, limit int) ([]order.EventCursor, error)
	EventPage(ctx context.Context, saleID int64, after uint64, orders int) (es []order.Event, through uint64, more bool, err error)
	HoldEvents(ctx context.Context, saleID int64, holder string, lease time.Duration) (seq uint64, held bool, err error)
	MoveEvents(ctx context.Context, saleID int64, holder string, seq uint64, lease time.Duration) error
	ReleaseEvents(ctx context.Context, saleID int64, holder string) error
}

type publisher interface {
	// Publish stores messages, those of one order in their order. Nil says that
	// each of them is stored; after an error any of them may be.
	Publish(ctx context.Context, ms []order.EventMessage) error
}

const (
	// lease is how long the sales of a process that was killed wait for another.
	lease = 10 * time.Second
	// stepFor is how long a step begins pages; one takes tens of milliseconds.
	stepFor  = 2 * time.Second
	maxSales = 1000
	pageSize = 2048 // orders: about a megabyte of messages
	// sweepEvery is after how many steps closed sales are looked at.
	sweepEvery = 10
)

// Relay sends the events of all sales. A sale's cursor in the database moves
// over a page of changes once each of their events is stored, and never before:
// whoever goes on from there misses nothing, and repeats at most what was sent
// and not noted. A lease spares processes from doing the same work; two that do
// it nevertheless repeat events, late ones too, which a reader who goes by their
// sequence drops.
type Relay struct {
	o       Options
	metrics *metrics
	holder  string

	steps  int
	closed []order.EventCursor // closed sales with events to be sent
	held   map[int64]time.Time // sales that this process has taken, until when
}

// Options are what a Relay works with.
type Options struct {
	Store     store
	Publisher publisher
	Seal      Seal // may be nil: events are without public IDs
	Metrics   prometheus.Registerer
}

// NewRelay returns a Relay; call Step once a second, from one goroutine, and in
// the end Release.
func NewRelay(o Options) *Relay {
	return &Relay{o: o, metrics: newMetrics(o.Metrics), holder: crypto.Text(), held: map[int64]time.Time{}}
}

// turn is what a step does for a sale.
type turn struct {
	saleID int64
	seq    uint64 // what has left
}

// Step sends what has not left, a page of one sale after a page of the next, for
// two seconds at most; the next step goes on. A sale of which less than a page is
// left has its next turn a second later: few reads, few sends and few moves of
// the cursor are what keeps events from costing the settling its speed.
func (r *Relay) Step(ctx context.Context) error {
	end := time.Now().Add(stepFor)
	behind, err := r.look(ctx)
	if err != nil {
		return err
	}
	turns, errs := r.take(ctx, behind)
	for len(turns) > 0 {
		var next []turn
		for _, t := range turns {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // cut off, not failed: the next step goes on
			}
			if time.Now().After(end) {
				return errors.Join(errs...)
			}
			seq, more, err := r.send(ctx, t)
			if err != nil && ctx.Err() == nil {
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

// look returns the sales whose events have not all left.
func (r *Relay) look(ctx context.Context) (behind []order.EventCursor, err error) {
	behind, err = r.o.Store.EventsBehind(ctx, false, maxSales)
	if err == nil && (r.steps%sweepEvery == 0 || len(r.closed) > 0) {
		r.closed, err = r.o.Store.EventsBehind(ctx, true, maxSales)
	}
	if err != nil {
		return nil, fmt.Errorf("look for events: %w", err)
	}
	r.steps++
	behind = append(behind, r.closed...)
	r.metrics.lag(behind)
	return behind, nil
}

// take returns the turns of the sales that are this process's or become so, in
// any order: where there are too many for one step, no sale is always the last.
func (r *Relay) take(ctx context.Context, behind []order.EventCursor) (turns []turn, errs []error) {
	maps.DeleteFunc(r.held, func(_ int64, until time.Time) bool { return time.Now().After(until) })
	for _, c := range behind {
		t, mine := turn{c.SaleID, c.Seq}, c.Holder == r.holder
		if c.Holder == "" {
			var err error
			if t.seq, mine, err = r.o.Store.HoldEvents(ctx, c.SaleID, r.holder, lease); err != nil {
				errs = append(errs, err)
			}
		}
		if mine {
			r.held[c.SaleID] = time.Now().Add(lease)
			turns = append(turns, t)
		}
	}
	rand.Shuffle(len(turns), func(i, j int) { turns[i], turns[j] = turns[j], turns[i] })
	return turns, errs
}

// send sends one page, then moves the cursor over it. It returns how far the
// sale's events have left, and whether there is another page.
func (r *Relay) send(ctx context.Context, t turn) (seq uint64, more bool, err error) {
	es, through, more, err := r.o.Store.EventPage(ctx, t.saleID, t.seq, pageSize)
	if err != nil || through == t.seq {
		return t.seq, false, err
	}
	if failpoint.Broken(failpoint.CursorFirst) {
		_ = r.o.Store.MoveEvents(ctx, t.saleID, r.holder, through, lease)
	}
	if err := r.publish(ctx, es); err != nil {
		return t.seq, false, err
	}
	if err := failpoint.Hit(ctx, failpoint.EventsSent); err != nil {
		return t.seq, false, err
	}
	if err := r.o.Store.MoveEvents(ctx, t.saleID, r.holder, through, lease); err != nil {
		return t.seq, false, err
	}
	r.held[t.saleID] = time.Now().Add(lease)
	return through, more, nil
}

func (r *Relay) publish(ctx context.Context, es []order.Event) error {
	if len(es) == 0 { // changes of the sale itself
		return nil
	}
	ms := make([]order.EventMessage, len(es))
	for i, e := range es {
		ms[i] = message(e, r.o.Seal)
	}
	began := time.Now()
	err := r.o.Publisher.Publish(ctx, ms)
	r.metrics.sent(ms, time.Since(began), err)
	return err
}

// Release lets other processes go on with this one's sales at once.
func (r *Relay) Release(ctx context.Context) error {
	var errs []error
	for saleID := range r.held {
		errs = append(errs, r.o.Store.ReleaseEvents(ctx, saleID, r.holder))
	}
	clear(r.held)
	return errors.Join(errs...)
}
