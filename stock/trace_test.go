package stock_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"seckill/internal/telemetry"
	"seckill/internal/telemetry/telemetrytest"
	"seckill/internal/testenv"
	"seckill/stock"
)

func TestABatchOfReservationsIsLinkedWithItsTracedOrders(t *testing.T) {
	tracer, spans := telemetrytest.New(t, 1)
	f := &fake{holds: true}
	inBubble(t, f, stock.CollectorOptions{Tracer: tracer}, func(t *testing.T, c *stock.Collector) {
		var wg sync.WaitGroup
		for id := range 4 { // 0 is a batch of its own; the others wait for it
			ctx, span := t.Context(), telemetry.Span{}
			if id == 1 || id == 3 {
				ctx, span = telemetrytest.Request(t, tracer)
				span.Int("id", id)
			}
			wg.Go(func() {
				_, err := c.Reserve(ctx, numbered(9, id))
				require.NoError(t, err)
				span.End(nil)
			})
			synctest.Wait()
		}
		close(f.hold)
		wg.Wait()
	})
	batch, requests := spans.One("reserve batch"), spans.Named("POST /")
	if requests[0].Attrs["id"] == int64(3) { // the one that ended first
		requests[0], requests[1] = requests[1], requests[0]
	}
	require.Equal(t, map[string]any{"seckill.batch.traced": int64(2), "seckill.batch.orders": int64(3), "seckill.sale.id": "9"}, batch.Attrs)
	require.True(t, batch.Inside(requests[0]))
	require.True(t, batch.LinkedWith(requests[0]))
	require.True(t, batch.LinkedWith(requests[1]))
	require.True(t, requests[1].LinkedWith(batch))
}

func TestWhatRedisIsAskedWithinATraceIsPartOfIt(t *testing.T) {
	t.Parallel()
	rdb := testenv.Miniredis(t)
	tracer, spans := telemetrytest.New(t, 1)
	stock.Trace(rdb)
	f := newFixture(t, rdb)
	f.load(10, 1)
	require.Empty(t, spans.All(), "nothing is traced by itself")

	ctx, span := telemetrytest.Request(t, tracer)
	o := f.order("a shopper nobody may know")
	reserve := func() {
		_, err := f.l.Reserve(ctx, f.sale.ID, stock.Purchases(o))
		require.NoError(t, err)
	}
	reserve()
	reserve()
	_, err := f.l.Entries(ctx, f.sale.ID, "nobody")
	require.NoError(t, err, "that there is nothing is no failure")
	_, err = f.l.Metas(ctx, []int64{f.sale.ID, 1})
	require.NoError(t, err)
	span.End(nil)

	post := spans.One("POST /")
	for _, s := range spans.All() {
		for key, value := range s.Attrs {
			require.NotContains(t, fmt.Sprint(value), "shopper", key)
		}
		switch s.Name {
		case post.Name:
		case "HELLO", "PIPELINE CLIENT": // a call that needs a connection makes one
		default:
			require.True(t, s.Inside(post), s.Name)
			require.Equal(t, "redis", s.Attrs["db.system.name"])
		}
	}
	calls := spans.Named("EVALSHA reserve")
	require.Len(t, calls, 2)
	require.Equal(t, "NOSCRIPT", calls[0].Attrs["db.response.status_code"], "the first one brings the script")
	require.Equal(t, "Error", calls[0].Status.Code.String())
	require.Len(t, spans.Named("EVAL"), 2, "one a script")
	require.Equal(t, "reserve", calls[1].Attrs["db.stored_procedure.name"])
	require.Equal(t, "Unset", calls[1].Status.Code.String())
	require.Equal(t, "Unset", spans.One("HGET").Status.Code.String())
	require.Greater(t, spans.One("PIPELINE EVALSHA meta").Attrs["db.operation.batch.size"], int64(1))
}
