package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"seckill/order"
	"seckill/queue"
)

type janitorStore interface { //nolint:interfacebloat // closing a sale depends on all of it
	sales
	opener
	SetSaleState(ctx context.Context, cmd string, id int64, to order.SaleState) (order.Sale, error)
	// Unpaid reports whether a sale has a confirmed order.
	Unpaid(ctx context.Context, saleID int64) (bool, error)
	// ClosedSales pages through the closed sales, newest first.
	ClosedSales(ctx context.Context, before int64, limit int) ([]int64, error)
}

type janitorLedger interface {
	changeSink
	Unload(ctx context.Context, saleID int64) error
}

// Janitor ends sales whose window is over, and closes those that can no longer
// change: they leave Redis and the list that every process reads. It also unloads
// closed sales that a Redis restored from an old backup brings back.
type Janitor struct {
	store  janitorStore
	ledger janitorLedger
	queue  offsets
	log    *slog.Logger
	tried  map[int64]attempt // sales that could not be closed yet

	unloadedAt time.Time // when closed sales were last looked for in Redis
	before     int64     // where that goes on
}

// attempt is the last attempt to close a sale: its time, and the end of the queue
// at the first attempt.
type attempt struct {
	at   time.Time
	mark queue.Offsets
}

// NewJanitor returns a Janitor; call Step once a second, from one goroutine.
func NewJanitor(store janitorStore, ledger janitorLedger, queue offsets, log *slog.Logger) *Janitor {
	return &Janitor{store: store, ledger: ledger, queue: queue, log: log, tried: map[int64]attempt{}}
}

const (
	// keepEnded is how long Redis still answers the polls of an ended sale.
	keepEnded = time.Hour
	// closeEvery is the time between attempts: one may read every order of a sale
	// to see that none is unpaid.
	closeEvery = time.Minute
	// closedPage is how many closed sales are checked in Redis every minute.
	closedPage = 500
)

// Step checks each sale. It uses the clock of Redis, which also decides about the
// window; while Redis is down, no sale is ended.
func (j *Janitor) Step(ctx context.Context) error {
	ss, err := j.store.Sales(ctx)
	if err != nil {
		return fmt.Errorf("list sales: %w", err)
	}
	ms, unread := j.ledger.Metas(ctx, order.SaleIDs(ss))
	tried := make(map[int64]attempt)
	errs := []error{unread}
	for i, s := range ss {
		m := ms[i]
		switch {
		case m.Err != nil || m.Now.Before(s.EndsAt):
		case s.State != order.SaleEnded:
			errs = append(errs, j.end(ctx, s))
		case m.Now.Before(s.EndsAt.Add(keepEnded)) || m.Pending > 0:
		default:
			a := j.tried[s.ID]
			if m.Now.Sub(a.at) >= closeEvery {
				a.at = m.Now
				a.mark, err = j.close(ctx, s, m.Loaded, a.mark)
				errs = append(errs, err)
			}
			tried[s.ID] = a
		}
	}
	j.tried = tried
	return errors.Join(append(errs, j.unloadClosed(ctx))...)
}

// unloadClosed unloads closed sales that are in Redis: a page a minute, from the
// newest to the oldest, then from the start again.
func (j *Janitor) unloadClosed(ctx context.Context) error {
	if time.Since(j.unloadedAt) < closeEvery {
		return nil
	}
	j.unloadedAt = time.Now()
	ids, err := j.store.ClosedSales(ctx, j.before, closedPage)
	if err != nil {
		return fmt.Errorf("list closed sales: %w", err)
	}
	j.before = 0
	if len(ids) == closedPage {
		j.before = ids[closedPage-1]
	}
	ms, unread := j.ledger.Metas(ctx, ids)
	errs := []error{unread}
	for i, m := range ms {
		if m.Loaded {
			errs = append(errs, j.ledger.Unload(ctx, ids[i]))
			j.log.WarnContext(ctx, "closed sale found in Redis and unloaded", "sale_id", ids[i])
		}
	}
	return errors.Join(errs...)
}

// end ends a sale, unless an operator has changed it meanwhile.
func (j *Janitor) end(ctx context.Context, s order.Sale) error {
	_, err := j.store.Operate(ctx, onTime("end", s, order.SaleEnded))
	if superseded(err) {
		return nil // its window may be longer now; the next step reads it
	}
	if err != nil {
		return fmt.Errorf("end sale %d: %w", s.ID, err)
	}
	j.log.InfoContext(ctx, "sale ended on time", "sale_id", s.ID, "ends_at", s.EndsAt)
	return nil // the tail updates Redis
}

// close closes a sale once the consumers have passed what was in the queue at the
// first attempt and no order is unpaid. It does not wait for order events: those
// are sent from MySQL, for closed sales too. It unloads the sale first: an ended
// sale is not loaded again, but a closed one would stay in Redis unnoticed.
func (j *Janitor) close(ctx context.Context, s order.Sale, loaded bool, mark queue.Offsets) (queue.Offsets, error) {
	if mark == nil {
		mark, err := j.queue.MaxOffsets(ctx)
		if err != nil {
			return nil, fmt.Errorf("ask the queue for its end: %w", err)
		}
		return mark, nil
	}
	at, err := j.queue.Committed(ctx)
	if err != nil || !at.Passed(mark) {
		return mark, err
	}
	unpaid, err := j.store.Unpaid(ctx, s.ID)
	if err != nil || unpaid {
		return mark, err
	}
	if loaded {
		if err := j.ledger.Unload(ctx, s.ID); err != nil {
			return mark, err
		}
	}
	_, err = j.store.SetSaleState(ctx, fmt.Sprintf("close-%d", s.ID), s.ID, order.SaleClosed)
	if err != nil && !errors.Is(err, order.ErrConflict) {
		return mark, fmt.Errorf("close sale %d: %w", s.ID, err)
	}
	j.log.InfoContext(ctx, "sale closed", "sale_id", s.ID)
	return mark, nil
}
