package reconcile

import (
	"context"
	"errors"
	"fmt"

	"seckill/internal/failpoint"
	"seckill/order"
	"seckill/stock"
)

type verdicts interface {
	sales
	// Verdicts parts the orders into those with a committed verdict and the rest.
	Verdicts(ctx context.Context, os []order.Order) (decided []order.Verdict, undecided []order.Order, err error)
}

type reservations interface {
	// Due claims pending orders that are due, for the time of a lease.
	Due(ctx context.Context, saleID int64, limit int) ([]order.Order, error)
	Replay(ctx context.Context, vs []order.Verdict) error
}

type settler interface {
	Settle(ctx context.Context, orders []order.Order) error
}

// Sweeper ends the orders that the queue did not: those whose send was not
// known to be stored, at once, and those that are still pending after 30 s.
// It never gives stock back without a verdict; an order without one is settled
// as if its message had come, and the late message is a redelivery then.
type Sweeper struct {
	verdicts     verdicts
	reservations reservations
	pool         settler
}

// NewSweeper returns a Sweeper that settles through this process's own pool,
// so that sweeping opens no transaction beyond its workers.
func NewSweeper(v verdicts, r reservations, pool settler) *Sweeper {
	return &Sweeper{verdicts: v, reservations: r, pool: pool}
}

const (
	sweepPage  = 256
	sweepPages = 16 // a sale and step; the next step goes on
)

// Step ends what is due in each sale.
func (s *Sweeper) Step(ctx context.Context) error {
	ss, err := s.verdicts.Sales(ctx)
	if err != nil {
		return fmt.Errorf("list sales: %w", err)
	}
	var errs []error
	for _, sale := range ss {
		if sale.State != order.SaleScheduled {
			errs = append(errs, s.sweep(ctx, sale.ID))
		}
	}
	return errors.Join(errs...)
}

func (s *Sweeper) sweep(ctx context.Context, saleID int64) error {
	for range sweepPages {
		due, unread := s.reservations.Due(ctx, saleID, sweepPage)
		if errors.Is(unread, stock.ErrNotLoaded) {
			return nil
		}
		if unread != nil { // of some; those that were read are claimed and must not wait for another lease
			unread = fmt.Errorf("look for due orders of sale %d: %w", saleID, unread)
		}
		if len(due) == 0 {
			return unread
		}
		if err := failpoint.Hit(ctx, failpoint.Claimed); err != nil {
			return err
		}
		decided, undecided, err := s.verdicts.Verdicts(ctx, due)
		if err == nil {
			err = failpoint.Hit(ctx, failpoint.VerdictRead)
		}
		if err != nil {
			return fmt.Errorf("read verdicts of sale %d: %w", saleID, err)
		}
		if err := s.replay(ctx, decided); err != nil {
			return fmt.Errorf("replay verdicts of sale %d: %w", saleID, err)
		}
		if err := s.pool.Settle(ctx, undecided); err != nil {
			return fmt.Errorf("settle %d due orders of sale %d: %w", len(undecided), saleID, err)
		}
		if unread != nil || len(due) < sweepPage {
			return unread
		}
	}
	return nil
}

func (s *Sweeper) replay(ctx context.Context, vs []order.Verdict) error {
	if len(vs) == 0 {
		return nil
	}
	if err := failpoint.Hit(ctx, failpoint.BeforeApply); err != nil {
		return err
	}
	return s.reservations.Replay(ctx, vs)
}
