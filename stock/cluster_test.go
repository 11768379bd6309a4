package stock_test

import (
	"context"
	"io"
	"net"
	"sync/atomic"
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

// A node that hangs takes the time of one call, not of one for each 64 sales.
func TestANodeThatHangsFailsTheSalesOnItAndNoOthers(t *testing.T) {
	t.Parallel()
	up, down := miniredis.RunT(t), miniredis.RunT(t)
	var hung atomic.Bool
	at := hanging(t, down.Addr(), &hung)
	const timeout = 3 * time.Second
	rdb := redis.NewClusterClient(&redis.ClusterOptions{
		DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout, PoolTimeout: timeout,
		MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true, DisableIdentity: true,
		ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
			return []redis.ClusterSlot{
				{Start: 0, End: 8191, Nodes: []redis.ClusterNode{{Addr: up.Addr()}}},
				{Start: 8192, End: 16383, Nodes: []redis.ClusterNode{{Addr: at}}},
			}, nil
		},
	})
	t.Cleanup(func() { _ = rdb.Close() })
	l := stock.New(rdb)
	var ids []int64
	for len(ids) < 130 {
		ids = append(ids, 2, 3, 6, 1) // 1, slot 9842, is on the node that hangs
	}
	_, err := l.Metas(t.Context(), ids)
	require.NoError(t, err)
	hung.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 10*timeout)
	defer cancel()
	ms, err := l.Metas(ctx, ids)
	require.Error(t, err)
	for i, m := range ms {
		require.Equal(t, ids[i] == 1, m.Err != nil, "%d: %v", i, m.Err)
	}
}

// hanging forwards to a server until hung: then it keeps connections and answers
// nothing, as a node does that lost its power or its network.
func hanging(t *testing.T, to string, hung *atomic.Bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", to)
			if err != nil {
				return
			}
			copyTo := func(w io.Writer, r io.Reader) {
				b := make([]byte, 1<<16)
				for {
					n, err := r.Read(b)
					if err != nil {
						return
					}
					if !hung.Load() {
						_, _ = w.Write(b[:n])
					}
				}
			}
			go copyTo(s, c)
			go copyTo(c, s)
		}
	}()
	return l.Addr().String()
}
