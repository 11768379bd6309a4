package reconcile_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
	"seckill/order/memory"
	"seckill/reconcile"
	"seckill/stock"
)

// manyClosed is a store with the closed sales 1 to 1200.
type manyClosed struct{ *memory.Store }

func (manyClosed) ClosedSales(_ context.Context, before int64, limit int) (ids []int64, err error) {
	if before == 0 {
		before = 1201
	}
	for id := before - 1; id > 0 && len(ids) < limit; id-- {
		ids = append(ids, id)
	}
	return ids, nil
}

// restored is a Redis in which a backup has brought sales back.
type restored struct {
	loaded map[int64]bool
	asked  [][2]int64 // the first and the last ID of each question for sales
}

func (r *restored) Metas(_ context.Context, ids []int64) ([]stock.Meta, error) {
	ms := make([]stock.Meta, len(ids))
	for i, id := range ids {
		ms[i] = stock.Meta{Loaded: r.loaded[id], State: order.SaleOpen}
	}
	if len(ids) > 0 {
		r.asked = append(r.asked, [2]int64{ids[0], ids[len(ids)-1]})
	}
	return ms, nil
}

func (*restored) Apply(context.Context, []order.Change) error { return nil }

func (r *restored) Unload(_ context.Context, saleID int64) error {
	delete(r.loaded, saleID)
	return nil
}

func TestClosedSalesAreLookedForInRedisAPageAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		redis := &restored{loaded: map[int64]bool{1200: true, 701: true, 700: true, 1: true}}
		janitor := reconcile.NewJanitor(manyClosed{memory.NewStore()}, redis, &offsets{}, quiet())
		left := func(after time.Duration) int {
			time.Sleep(after)
			require.NoError(t, janitor.Step(t.Context()))
			return len(redis.loaded)
		}
		require.Equal(t, []int{2, 2, 1, 0}, []int{left(0), left(59 * time.Second), left(time.Second), left(time.Minute)})
		redis.loaded[1200] = true
		require.Zero(t, left(time.Minute), "from the newest again")
		require.Equal(t, [][2]int64{{1200, 701}, {700, 201}, {200, 1}, {1200, 701}}, redis.asked)
	})
}
