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

// expiring is a store that takes 100 ms for a scan, which cancels one of a sale's due
// orders.
type expiring struct {
	due     map[int64]int // orders by sale
	failing int64         // the sale that cannot be scanned
	scans   int
}

func (*expiring) Sales(context.Context) ([]order.Sale, error) {
	return []order.Sale{{ID: 1, State: order.SaleOpen}, {ID: 2, State: order.SaleEnded}, {ID: 3, State: order.SaleScheduled}}, nil
}

func (e *expiring) Expire(ctx context.Context, saleID int64, after uint64) (order.Expiry, error) {
	e.scans++
	time.Sleep(100 * time.Millisecond)
	switch {
	case ctx.Err() != nil:
		return order.Expiry{}, ctx.Err()
	case saleID == e.failing:
		return order.Expiry{}, errors.New("no scan")
	case e.due[saleID] == 0:
		return order.Expiry{Seq: after, Wait: time.Minute}, nil
	}
	e.due[saleID]--
	return order.Expiry{Seq: after + 1, Verdicts: []order.Verdict{{
		Order: order.Order{ID: 1, SaleID: saleID, Quantity: 1}, Status: order.StatusCancelled, Seq: after + 1,
	}}}, nil
}

func (*expiring) Apply(context.Context, []order.Change) error { return nil }

func TestTheExpirerGoesOnUntilNothingIsDueAndRestsMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &expiring{due: map[int64]int{1: 3, 2: 1, 3: 1}}
		var expired []int
		expirer := reconcile.NewExpirer(store, store, func(n int) { expired = append(expired, n) }, quiet())
		began := time.Now()
		require.NoError(t, expirer.Step(t.Context()))
		require.Equal(t, map[int64]int{1: 0, 2: 0, 3: 1}, store.due, "but for the sale that has not begun")
		require.Equal(t, []int{1, 1, 1, 1}, expired)
		require.Equal(t, 4*400*time.Millisecond+2*100*time.Millisecond, time.Since(began), "three times the work is rest, but not for reading")

		scans := store.scans
		for range 3 {
			time.Sleep(10*time.Second - time.Since(began)%(10*time.Second))
			require.NoError(t, expirer.Step(t.Context()))
		}
		require.Equal(t, scans, store.scans, "nothing is due within the minute")
		time.Sleep(10 * time.Second)
		require.NoError(t, expirer.Step(t.Context()))
		require.Equal(t, scans+2, store.scans, "pay_by may have been moved")
	})
}

func TestTheExpirerReportsASaleThatFailsAndNotItsOwnEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &expiring{due: map[int64]int{1: 2, 2: 2}, failing: 1}
		expirer := reconcile.NewExpirer(store, store, nil, quiet())
		require.ErrorContains(t, expirer.Step(t.Context()), "expire orders of sale 1: no scan")
		require.Equal(t, map[int64]int{1: 2, 2: 1}, store.due, "the other sale had its turn")
		require.Equal(t, 2, store.scans, "the next step tries again")

		ending, end := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer end()
		require.NoError(t, expirer.Step(ending))
	})
}
