package reconcile

import (
	"context"
	"errors"

	"seckill/order"
)

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

// Forget lets the next step look at each sale from its first change.
func (e *Expirer) Forget() { e.next = map[int64]expiry{} }
