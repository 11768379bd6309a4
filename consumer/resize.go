package consumer

import "context"

// SetWorkers changes the number of workers, which is at least 1. New ones start at once;
// superfluous ones exit after their current batch, and count until then.
func (p *Pool) SetWorkers(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n == p.wanted {
		return
	}
	p.wanted = n
	p.wake()
	p.fill()
}

// wake makes idle workers ask next again. The caller must hold p.mu.
func (p *Pool) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// fill starts the workers that are missing. The caller must hold p.mu.
func (p *Pool) fill() {
	if p.start == nil {
		return
	}
	for ; p.working < p.wanted; p.working++ {
		p.metrics.idle.Inc()
		p.start()
	}
}

// next returns what a worker has to do: to settle orders that were held, or else
// to collect what arrives until changed is closed. The worker that gets false must
// exit.
func (p *Pool) next(ctx context.Context) (held []item, changed <-chan struct{}, wanted bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.working > p.wanted || ctx.Err() != nil {
		p.working--
		p.metrics.idle.Dec()
		return nil, nil, false
	}
	return p.takeHeld(), p.changed, true
}
