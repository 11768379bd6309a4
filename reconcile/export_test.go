package reconcile

import (
	"context"
	"errors"
	"time"

	"seckill/order"
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

// Step sweeps each sale once, one after the other, and returns the errors of
// that.
func (s *Sweeper) Step(ctx context.Context) error {
	ss, err := s.verdicts.Sales(ctx)
	for _, sale := range ss {
		if sale.State != order.SaleScheduled {
			err = errors.Join(err, s.sweep(ctx, sale.ID))
		}
	}
	return err
}

// SetGrace shortens the grace.
func (p *Patrol) SetGrace(d time.Duration) { p.grace = d }

// SetGrace shortens the grace.
func (a *Auditor) SetGrace(d time.Duration) { a.grace = d }

// Forget lets the next step look at each sale from its first change.
func (e *Expirer) Forget() { e.next = map[int64]expiry{} }
