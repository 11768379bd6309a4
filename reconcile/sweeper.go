package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"seckill/internal/failpoint"
	"seckill/internal/loop"
	"seckill/order"
	"seckill/stock"
)

type verdicts interface {
	sales
	// Verdicts splits the orders into those with a committed verdict and the rest.
	Verdicts(ctx context.Context, os []order.Order) (decided []order.Verdict, undecided []order.Order, err error)
}

type reservations interface {
	// Due claims pending orders that are due for the time of a lease.
	Due(ctx context.Context, saleID int64, limit int) ([]order.Order, error)
	Replay(ctx context.Context, vs []order.Verdict) error
}

type settler interface {
	Settle(ctx context.Context, orders []order.Order) error
}

// Sweeper settles the orders that the queue did not deliver: those whose send was
// not confirmed, at once, and those that are still pending after 30 s. It never
// gives stock back without a verdict. It settles an order without one as if its
// message had come; the late message is then a redelivery.
type Sweeper struct {
	verdicts     verdicts
	reservations reservations
	pool         settler
	log          *slog.Logger
	slots        chan struct{} // bounds the claims at a time

	mu       sync.Mutex
	sweeping map[int64]bool // sales that are being swept
	failed   []error        // of the sweeps that ended since the last step
	wg       sync.WaitGroup
}

// NewSweeper returns a Sweeper that settles through this process's own pool, so
// that sweeping opens no transactions beyond those of the pool's workers.
func NewSweeper(v verdicts, r reservations, pool settler, log *slog.Logger) *Sweeper {
	return &Sweeper{
		verdicts: v, reservations: r, pool: pool, log: log,
		slots: make(chan struct{}, maxClaims), sweeping: map[int64]bool{},
	}
}

const (
	sweepPage  = 256
	sweepPages = 16 // per sweep; the next one continues
	maxClaims  = 4
)

// Run settles due orders until ctx is done. Each sale is swept by itself: a sale
// whose orders wait for the pool does not delay others.
func (s *Sweeper) Run(ctx context.Context) error {
	defer s.wg.Wait()
	return loop.EverySecond(ctx, s.log, "sweep", func(step context.Context) error { return s.step(step, ctx) })
}

// step starts a sweep, under sweepCtx, of each sale that is not being swept. It
// returns the errors of the sweeps that have ended.
func (s *Sweeper) step(ctx, sweepCtx context.Context) error {
	ss, err := s.verdicts.Sales(ctx)
	if err != nil {
		return fmt.Errorf("list sales: %w", err)
	}
	for _, sale := range ss {
		if sale.State != order.SaleScheduled && s.begin(sale.ID) {
			s.wg.Go(func() { s.end(sale.ID, s.sweep(sweepCtx, sale.ID)) })
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err, s.failed = errors.Join(s.failed...), nil
	return err
}

func (s *Sweeper) begin(saleID int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sweeping[saleID] {
		return false
	}
	s.sweeping[saleID] = true
	return true
}

func (s *Sweeper) end(saleID int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sweeping, saleID)
	if err != nil {
		s.failed = append(s.failed, err)
	}
}

func (s *Sweeper) sweep(ctx context.Context, saleID int64) error {
	for range sweepPages {
		undecided, more, unread := s.claimDue(ctx, saleID)
		if len(undecided) > 0 { // also when other due orders could not be read
			if err := s.pool.Settle(ctx, undecided); err != nil {
				return fmt.Errorf("settle %d due orders of sale %d: %w", len(undecided), saleID, err)
			}
		}
		if unread != nil || !more {
			return unread
		}
	}
	return nil
}

// claimDue claims a page of due orders, replays those that have a verdict, and
// returns the others. With an error about orders that could not be read, it still
// returns those that it claimed: they must not wait for another lease.
func (s *Sweeper) claimDue(ctx context.Context, saleID int64) (undecided []order.Order, more bool, err error) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, loop.StepTimeout)
	defer cancel()
	due, unread := s.reservations.Due(ctx, saleID, sweepPage)
	if errors.Is(unread, stock.ErrNotLoaded) {
		return nil, false, nil
	}
	if unread != nil {
		unread = fmt.Errorf("claim due orders of sale %d: %w", saleID, unread)
	}
	if len(due) == 0 {
		return nil, false, unread
	}
	if err := failpoint.Hit(ctx, failpoint.Claimed); err != nil {
		return nil, false, err
	}
	decided, undecided, err := s.verdicts.Verdicts(ctx, due)
	if err == nil {
		err = failpoint.Hit(ctx, failpoint.VerdictRead)
	}
	if err != nil {
		return nil, false, fmt.Errorf("read verdicts of sale %d: %w", saleID, err)
	}
	if err := s.replay(ctx, decided); err != nil {
		return nil, false, fmt.Errorf("replay verdicts of sale %d: %w", saleID, err)
	}
	return undecided, len(due) == sweepPage, unread
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
