package consumer

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// heldSale is a sale whose last batch failed. Its orders wait here, with their
// callers, and no worker waits with them. Some errors of MySQL concern one sale
// and last for hours: a sale restored to an older row gets error 1062 on
// sale_changes at each attempt. Tried again in place, its orders would soon
// occupy all workers and fail every batch that they share with other sales.
//
// While MySQL is away, every sale is held. Callers wait, which stops the pulls.
// That is also the limit of what a held sale spares the others: its orders keep
// their deliveries, of which the queue hands out a bounded number, and the offset
// of their queue. If many of its orders come, deliveries stop for all sales, whose
// orders the sweepers settle from Redis then.
type heldSale struct {
	items   []item
	backoff time.Duration // 0: it settles again, and all of items may follow
	due     time.Time     // of the next attempt
	trying  bool          // an attempt is in progress
}

const (
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = 2 * time.Second
)

// hold sets aside a batch that failed, each sale by itself: those that are not
// to blame settle at their first attempt alone.
func (p *Pool) hold(ctx context.Context, items []item, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	failed := make(map[int64]*heldSale, 1)
	for _, it := range items {
		id := it.order.SaleID
		h := p.held[id]
		if h == nil {
			h = &heldSale{}
			p.held[id] = h
		}
		h.items = append(h.items, it)
		failed[id] = h
	}
	for id, h := range failed {
		// Orders whose callers have returned will be delivered again.
		h.items = slices.DeleteFunc(h.items, func(it item) bool { return it.call.gone.Load() })
		h.backoff = min(max(2*h.backoff, firstBackoff), lastBackoff)
		wait := h.backoff/2 + rand.N(h.backoff/2)
		h.due, h.trying = time.Now().Add(wait), false
		time.AfterFunc(wait, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.wake()
		})
		p.opts.Log.WarnContext(ctx, "settle failed, will try again", "sale_id", id, "held", len(h.items), "backoff", h.backoff, "err", err)
	}
}

// divert moves the orders of held sales from a batch to those held before them,
// and returns the others.
func (p *Pool) divert(items []item) []item {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.held) == 0 {
		return items
	}
	others := items[:0]
	for _, it := range items {
		if h := p.held[it.order.SaleID]; h != nil {
			h.items = append(h.items, it)
		} else {
			others = append(others, it)
		}
	}
	return others
}

// takeHeld returns held orders that are due: one, to see whether its sale settles
// again, or a batch, once it does. The caller must hold p.mu.
func (p *Pool) takeHeld() (items []item) {
	now := time.Now()
	for id, h := range p.held {
		if h.trying || h.due.After(now) {
			continue
		}
		most := 1
		if h.backoff == 0 {
			most = p.drain.Load().batch
		}
		n := 0
		for ; n < len(h.items) && len(items) < most; n++ {
			items = take(items, h.items[n])
		}
		h.items = h.items[n:]
		h.trying = h.backoff > 0
		if len(items) == 0 || h.backoff == 0 && len(h.items) == 0 {
			delete(p.held, id)
		}
		if len(items) > 0 {
			return items
		}
	}
	return nil
}

// release lets the held orders of sales follow a batch that was settled.
func (p *Pool) release(settled []item) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.held) == 0 {
		return
	}
	for _, it := range settled {
		if h := p.held[it.order.SaleID]; h != nil && h.backoff > 0 {
			*h = heldSale{items: h.items}
			p.wake()
		}
	}
}
