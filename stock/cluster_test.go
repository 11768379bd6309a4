package stock_test

import (
	"context"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"seckill/stock"
)

func TestANodeThatIsDownFailsTheSalesOnItAndNoOthers(t *testing.T) {
	t.Parallel()
	up, down := miniredis.RunT(t), miniredis.RunT(t)
	rdb := redis.NewClusterClient(&redis.ClusterOptions{MaxRedirects: -1, DialerRetries: 1, ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
		return []redis.ClusterSlot{
			{Start: 0, End: 8191, Nodes: []redis.ClusterNode{{Addr: up.Addr()}}},
			{Start: 8192, End: 16383, Nodes: []redis.ClusterNode{{Addr: down.Addr()}}},
		}, nil
	}})
	t.Cleanup(func() { _ = rdb.Close() })
	l := stock.New(rdb)
	here := []int64{2, 3, 6} // slots of the first node
	_, err := l.Metas(t.Context(), here)
	require.NoError(t, err)
	down.Close()
	for range 20 {
		ms, err := l.Metas(t.Context(), append(here, 1)) // slot 9842
		require.Error(t, err)
		require.Error(t, ms[3].Err)
		for _, m := range ms[:3] {
			require.NoError(t, m.Err)
			require.WithinDuration(t, time.Now(), m.Now, time.Minute)
		}
	}
}
