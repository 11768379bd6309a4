package consumer

import (
	"context"
	"time"

	"golang.org/x/time/rate"
)

// drain lets so many orders a second through.
type drain struct {
	limiter  *rate.Limiter
	batch    int           // orders a transaction
	replaced chan struct{} // closed when another one holds
}

// newDrain returns what lets so many orders a second through, and how many a
// batch may have under it. A batch waits as one: it is no more than the orders
// of a quarter of a second, so that a low rate does not settle in bursts, and an
// order that comes alone hardly waits.
func newDrain(perSecond float64, batch int) *drain {
	d := &drain{batch: batch, replaced: make(chan struct{})}
	if perSecond <= 0 {
		d.limiter = rate.NewLimiter(rate.Inf, batch)
		return d
	}
	d.batch = min(batch, max(1, int(perSecond/4)))
	d.limiter = rate.NewLimiter(rate.Limit(perSecond), d.batch)
	return d
}

// SetRate changes how many orders a second are settled at most, by all workers
// together; 0 is no cap. A worker that waits goes by the new rate.
func (p *Pool) SetRate(perSecond float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := p.drain.Load(); d.limiter.Limit() == newDrain(perSecond, p.opts.Batch).limiter.Limit() {
		return // the orders of this quarter of a second are not let through again
	}
	close(p.drain.Swap(newDrain(perSecond, p.opts.Batch)).replaced)
}

// pass waits until so many orders may be settled; false when the pool is
// stopped before.
func (p *Pool) pass(ctx context.Context, orders int) bool {
	for orders > 0 {
		d := p.drain.Load()
		part := min(orders, d.batch) // of a batch that was collected under a higher rate
		if d.wait(ctx, part) {
			orders -= part
		} else if ctx.Err() != nil {
			return false
		}
	}
	return true
}

// wait is false when ctx is done, or another drain holds, before it is over.
func (d *drain) wait(ctx context.Context, orders int) bool {
	delay := d.limiter.ReserveN(time.Now(), orders).Delay()
	if delay == 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(delay)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	case <-d.replaced:
		return false
	}
}
