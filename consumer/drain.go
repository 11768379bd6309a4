package consumer

import (
	"context"
	"time"

	"golang.org/x/time/rate"
)

// drain limits the orders per second.
type drain struct {
	limiter  *rate.Limiter
	batch    int           // orders per transaction
	replaced chan struct{} // closed when another drain replaces this one
}

// newDrain returns a drain of so many orders per second. A whole batch waits together, so
// under a limit it has at most the orders of a quarter of a second: a low rate does not
// settle in bursts, and a single order waits hardly at all.
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

// SetRate changes the maximum orders per second of all workers together; 0 is no limit. A
// worker that waits uses the new rate.
func (p *Pool) SetRate(perSecond float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := p.drain.Load(); d.limiter.Limit() == newDrain(perSecond, p.opts.Batch).limiter.Limit() {
		return // else this quarter of a second would be let through again
	}
	close(p.drain.Swap(newDrain(perSecond, p.opts.Batch)).replaced)
}

// pass waits until so many orders may be settled; false if the pool is stopped before.
func (p *Pool) pass(ctx context.Context, orders int) bool {
	for orders > 0 {
		d := p.drain.Load()
		part := min(orders, d.batch) // the batch may have been collected under a higher rate
		if d.wait(ctx, part) {
			orders -= part
		} else if ctx.Err() != nil {
			return false
		}
	}
	return true
}

// wait returns false if ctx is done, or d is replaced, before the time is over.
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
