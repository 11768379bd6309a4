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

type closing interface { //nolint:interfacebloat // a sale's end is decided by all of it
	sales
	opener
	SetSaleState(ctx context.Context, cmd string, id int64, to order.SaleState) (order.Sale, error)
	// Unpaid reports whether a sale has a confirmed order.
	Unpaid(ctx context.Context, saleID int64) (bool, error)
	// ClosedSales pages through the closed sales, newest first.
	ClosedSales(ctx context.Context, before int64, limit int) ([]int64, error)
}

type unloading interface {
	changeSink
	Unload(ctx context.Context, saleID int64) error
}

// Janitor ends sales whose window is over, and closes those that nothing can
// happen to any more: they leave Redis and the list that every process reads.
// A closed sale that a Redis from an old backup brings back leaves it again.
type Janitor struct {
	store  closing
	ledger unloading
	queue  offsets
	log    *slog.Logger
	tried  map[int64]attempt // sales that could not be closed yet

	swept  time.Time // when closed sales were last looked for in Redis
	before int64     // where that goes on
}

// attempt is the last one to close a sale: when, and what stood in the queue at
// the first.
type attempt struct {
	at   time.Time
	mark queue.Offsets
}

// NewJanitor returns a Janitor; call Step once a second, from one goroutine.
func NewJanitor(store closing, ledger unloading, queue offsets, log *slog.Logger) *Janitor {
	return &Janitor{store: store, ledger: ledger, queue: queue, log: log, tried: map[int64]attempt{}}
}

const (
	// keepEnded is how long polls of an ended sale are still answered by Redis.
	keepEnded = time.Hour
	// closeEvery is how often the janitor tries: it may read every order of a
	// sale to know that none is unpaid.
	closeEvery = time.Minute
	// closedPage is how many closed sales it looks for in Redis every minute.
	closedPage = 500
)

// Step looks at each sale. Time is that of Redis, which judges the window too;
// while it cannot be asked nothing is ended.
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
	return errors.Join(append(errs, j.sweep(ctx))...)
}

// sweep unloads closed sales that are in Redis, a page a minute, from the
// newest on and round again.
func (j *Janitor) sweep(ctx context.Context) error {
	if time.Since(j.swept) < closeEvery {
		return nil
	}
	j.swept = time.Now()
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

// end moves a sale to ended, unless an operator has changed it meanwhile.
func (j *Janitor) end(ctx context.Context, s order.Sale) error {
	_, err := j.store.Operate(ctx, onTime("end", s, order.SaleEnded))
	if superseded(err) {
		return nil // perhaps it was given more time; the next step reads what it has
	}
	if err != nil {
		return fmt.Errorf("end sale %d: %w", s.ID, err)
	}
	j.log.InfoContext(ctx, "sale ended on time", "sale_id", s.ID, "ends_at", s.EndsAt)
	return nil // the tail tells Redis
}

// close closes a sale once the consumers have passed what stood in the queue at
// the first try and every order has its end. Events that have not left are sent
// from MySQL, of a closed sale too: they keep nothing in Redis. First out of Redis: a sale that is
// ended is not loaded again, while one that is closed would be forgotten there.
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
