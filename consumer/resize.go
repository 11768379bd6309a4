package consumer

import "context"

// SetWorkers changes how many workers settle, from 1 up. New ones begin at once;
// those that are too many end with the batch they have, and count until then.
func (p *Pool) SetWorkers(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n == p.wanted {
		return
	}
	p.wanted = n
	close(p.resized)
	p.resized = make(chan struct{})
	p.fill()
}

// fill starts the workers that are missing. It wants the lock.
func (p *Pool) fill() {
	if p.start == nil {
		return
	}
	for ; p.working < p.wanted; p.working++ {
		p.metrics.idle.Inc()
		p.start()
	}
}

// next reports whether a worker is to take another batch, and returns what is
// closed when that may have changed. Who is told no has left.
func (p *Pool) next(ctx context.Context) (resized <-chan struct{}, wanted bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.working > p.wanted || ctx.Err() != nil {
		p.working--
		p.metrics.idle.Dec()
		return nil, false
	}
	return p.resized, true
}
