package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/telemetry/telemetrytest"
	"seckill/internal/testenv"
	"seckill/order"
)

// TestOneOrdersTraceShowsEveryHop follows an order through both roles on the
// in-memory servers; test/trace_test.go does so on real ones.
func TestOneOrdersTraceShowsEveryHop(t *testing.T) {
	t.Parallel()
	tracer, spans := telemetrytest.New(t, 0) // the caller samples it
	ctx, cancel := context.WithCancel(t.Context())
	cfg, err := DevConfig()
	require.NoError(t, err)
	cfg.Listen, cfg.AdminListen = "127.0.0.1:0", "127.0.0.1:0"
	up, done := make(chan DevStarted, 1), make(chan error, 1)
	go func() {
		done <- runDev(ctx, cfg, tracer, slog.New(slog.DiscardHandler), func(d DevStarted, _ order.Sale) { up <- d })
	}()
	d := <-up

	status, header, _ := testenv.Send(t, http.MethodPost, d.URL+"/v1/sales/"+d.SaleID+"/orders", `{}`, "Authorization", "Bearer "+d.Token,
		"Content-Type", "application/json", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	require.Equal(t, http.StatusAccepted, status)
	_, _, text := testenv.Send(t, http.MethodGet, d.URL+header.Get("Location")+"?wait=5s", "", "Authorization", "Bearer "+d.Token)
	require.Contains(t, text, `"status":"confirmed"`)
	require.Eventually(t, func() bool { return len(spans.Named("process SECKILL_ORDER")) > 0 }, 5*time.Second, time.Millisecond)
	_, _, text = testenv.Send(t, http.MethodGet, d.AdminURL+"/metrics", "", "Accept", "application/openmetrics-text; version=1.0.0")
	require.Contains(t, text, `# {trace_id="0af7651916cd43dd8448eb211c80319c"}`)
	cancel()
	require.NoError(t, <-done)

	post := spans.One("POST /v1/sales/:id/orders")
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c", post.SpanContext.TraceID().String())
	require.Equal(t, "b7ad6b7169203331", post.Parent.SpanID().String())
	require.EqualValues(t, http.StatusAccepted, post.Attrs["http.response.status_code"])
	for inner, outer := range map[string]string{
		"reserve": post.Name, "reserve batch": "reserve", "EVALSHA reserve": "reserve batch",
		"create SECKILL_ORDER": post.Name, "process SECKILL_ORDER": "create SECKILL_ORDER",
		"settle": "process SECKILL_ORDER", "write back": "settle", "EVALSHA apply": "write back", "PIPELINE PUBLISH": "write back",
	} {
		require.True(t, spans.One(inner).Inside(spans.One(outer)), "%s in %s", inner, outer)
	}
	reserve, process := spans.One("reserve"), spans.One("process SECKILL_ORDER")
	require.True(t, spans.One("reserve batch").LinkedWith(reserve))
	require.True(t, spans.One("settle").LinkedWith(process))
	require.Equal(t, d.SaleID, reserve.Attrs["seckill.sale.id"])
	require.Equal(t, process.Attrs["messaging.message.id"], reserve.Attrs["seckill.order.id"])
	require.Equal(t, "confirmed", process.Attrs["seckill.order.status"])
	require.Empty(t, spans.Named("GET /v1/orders/:id"), "that request was not sampled")
	for _, s := range spans.All() {
		for key, value := range s.Attrs {
			require.NotEqual(t, "42", value, "the shopper in %s of %s", key, s.Name)
			require.NotContains(t, fmt.Sprint(value), d.Token)
		}
	}
}
