package reconcile_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

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
