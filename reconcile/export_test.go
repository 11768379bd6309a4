package reconcile

import (
	"context"
	"errors"
	"time"
)

// ReadThrough is a pass through a sale, now.
func (p *Patrol) ReadThrough(ctx context.Context, saleID int64) error {
	return p.readThrough(ctx, saleID)
}

// Step is one look at every sale.
func (p *Patrol) Step(ctx context.Context) error { return p.step(ctx, ctx) }

// Wait waits for the passes that Step began.
func (p *Patrol) Wait() { p.wg.Wait() }

// Step looks once, and waits for the loads that it begins.
func (l *Loader) Step(ctx context.Context) error {
	defer l.wg.Wait()
	return l.step(ctx, ctx)
}

// Step sweeps each sale once, and returns the errors of that.
func (s *Sweeper) Step(ctx context.Context) error {
	err := s.step(ctx, ctx)
	s.wg.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	err, s.failed = errors.Join(append(s.failed, err)...), nil
	return err
}

// SetGrace shortens the grace.
func (p *Patrol) SetGrace(d time.Duration) { p.grace = d }

// SetGrace shortens the grace.
func (a *Auditor) SetGrace(d time.Duration) { a.grace = d }

// Forget lets the next step look at each sale from its first change.
func (e *Expirer) Forget() { e.next = map[int64]expiry{} }
