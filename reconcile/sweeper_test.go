package reconcile_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/testenv"
	"seckill/order"
	"seckill/reconcile"
)

// due is a store and a ledger in which one order of each sale becomes due every
// second, and a pool in which sale 1 waits as long as its caller.
type due struct {
	settled map[int64]int
	tries   int
}

func (d *due) Sales(context.Context) ([]order.Sale, error) {
	return []order.Sale{{ID: 1, State: order.SaleOpen}, {ID: 2, State: order.SaleEnded}, {ID: 3, State: order.SaleScheduled}}, nil
}

func (d *due) Due(_ context.Context, saleID int64, _ int) ([]order.Order, error) {
	return []order.Order{{ID: 1, SaleID: saleID}}, nil
}

func (d *due) Verdicts(_ context.Context, os []order.Order) ([]order.Verdict, []order.Order, error) {
	return nil, os, nil
}

func (d *due) Replay(context.Context, []order.Verdict) error { return errors.New("nothing is decided") }

func (d *due) Settle(ctx context.Context, os []order.Order) error {
	if os[0].SaleID == 1 {
		d.tries++
		<-ctx.Done()
		return ctx.Err()
	}
	d.settled[os[0].SaleID]++
	return nil
}

func TestASaleWhoseOrdersWaitForThePoolHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &due{settled: map[int64]int{}}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- reconcile.NewSweeper(d, d, d, quiet()).Run(ctx) }()
		time.Sleep(time.Minute + time.Second/2)
		synctest.Wait()
		require.Equal(t, map[int64]int{2: 60}, d.settled)
		require.Equal(t, 1, d.tries, "who waits is not handed over again, and keeps its place")
		stop()
		require.NoError(t, <-done)
	})
}

// backlog is one sale with due orders, half of which have a verdict if decided is
// set. Each call may fail.
type backlog struct {
	orders                                    int
	decided                                   bool
	replayed, settled                         []int // by batch
	dueErr, verdictsErr, replayErr, settleErr error
}

func (b *backlog) Sales(context.Context) ([]order.Sale, error) {
	return []order.Sale{{ID: 1, State: order.SaleOpen}}, nil
}

func (b *backlog) Due(_ context.Context, saleID int64, limit int) ([]order.Order, error) {
	os := make([]order.Order, min(b.orders, limit))
	for i := range os {
		os[i] = order.Order{ID: order.ID(i + 1), SaleID: saleID}
	}
	b.orders -= len(os)
	return os, b.dueErr
}

func (b *backlog) Verdicts(_ context.Context, os []order.Order) (decided []order.Verdict, undecided []order.Order, err error) {
	if !b.decided {
		return nil, os, b.verdictsErr
	}
	for _, o := range os {
		decided = append(decided, order.Verdict{Order: o, Status: order.StatusConfirmed})
	}
	return decided, nil, b.verdictsErr
}

func (b *backlog) Replay(_ context.Context, vs []order.Verdict) error {
	b.replayed = append(b.replayed, len(vs))
	return b.replayErr
}

func (b *backlog) Settle(_ context.Context, os []order.Order) error {
	b.settled = append(b.settled, len(os))
	return b.settleErr
}

func TestTheSweeperTakesABacklogInPages(t *testing.T) {
	t.Parallel()
	b := &backlog{orders: 513}
	sweeper := reconcile.NewSweeper(b, b, b, quiet())
	require.NoError(t, sweeper.Step(t.Context()))
	require.Equal(t, []int{256, 256, 1}, b.settled)
	b.orders, b.settled = 16*256+1, nil
	require.NoError(t, sweeper.Step(t.Context()))
	require.Len(t, b.settled, 16, "the next step continues")
	require.Equal(t, 1, b.orders)

	b = &backlog{orders: 300, decided: true}
	require.NoError(t, reconcile.NewSweeper(b, b, b, quiet()).Step(t.Context()))
	require.Equal(t, []int{256, 44}, b.replayed)
	require.Empty(t, b.settled, "nothing is left to settle")
}

func TestTheSweeperReportsWhatFailed(t *testing.T) {
	t.Parallel()
	away := errors.New("away")
	for name, tt := range map[string]struct {
		backlog backlog
		settled []int
		want    string
	}{
		"some due orders":  {backlog{orders: 300, dueErr: away}, []int{256}, "claim due orders of sale 1: away"},
		"all due orders":   {backlog{dueErr: away}, nil, "claim due orders of sale 1: away"},
		"reading verdicts": {backlog{orders: 300, verdictsErr: away}, nil, "read verdicts of sale 1: away"},
		"replaying":        {backlog{orders: 300, decided: true, replayErr: away}, nil, "replay verdicts of sale 1: away"},
		"settling":         {backlog{orders: 300, settleErr: away}, []int{256}, "settle 256 due orders of sale 1: away"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &tt.backlog
			require.EqualError(t, reconcile.NewSweeper(b, b, b, quiet()).Step(t.Context()), tt.want)
			require.Equal(t, tt.settled, b.settled, "what was claimed is settled, and nothing more is claimed")
		})
	}
}

func TestTheNextStepLogsASweepThatFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, log := &backlog{dueErr: errors.New("away")}, &testenv.Logs{}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- reconcile.NewSweeper(b, b, b, slog.New(slog.NewTextHandler(log, nil))).Run(ctx) }()
		time.Sleep(3*time.Second + time.Second/2)
		require.Contains(t, log.String(), `step=sweep err="claim due orders of sale 1: away"`)
		stop()
		require.NoError(t, <-done)
	})
}
