package api

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
)

type oneSale struct {
	store

	reads int
}

func (s *oneSale) Sale(_ context.Context, id int64) (order.Sale, error) {
	if id == 1 {
		s.reads++
		return order.Sale{ID: 1, State: order.SaleClosed}, nil
	}
	return order.Sale{}, order.ErrNotFound
}

// Anybody with a token may name sales that do not exist (GET /v1/orders?sale_id=N).
func TestSalesThatDoNotExistPushOutNoClosedSale(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &oneSale{}
		c := newClosedSales(s)
		_, err := c.Get(t.Context(), 1)
		require.NoError(t, err)
		for id := range int64(200 * closedSalesRate) {
			_, err := c.Get(t.Context(), 1000+id)
			require.Error(t, err)
			time.Sleep(time.Second / closedSalesRate)
		}
		for id := range int64(2 * closedSalesRate) { // the flood goes on, and takes all of the rate
			_, _ = c.Get(t.Context(), 1_000_000+id)
		}
		_, err = c.Get(t.Context(), 1)
		require.NoError(t, err)
		require.Equal(t, 1, s.reads)
	})
}
