package telemetry_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"seckill/internal/telemetry"
	"seckill/internal/telemetry/telemetrytest"
)

const (
	sampled    = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	notSampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
)

func request(t *testing.T, traceparent ...string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/sales/7/orders?token=secret", http.NoBody)
	for _, value := range traceparent {
		r.Header.Add("Traceparent", value)
	}
	return r
}

func TestARequestWithoutATraceIsSampledByTheRatio(t *testing.T) {
	t.Parallel()
	for _, traceparent := range [][]string{nil, {"garbage"}, {""}, {sampled, sampled}, {"00-" + "00000000000000000000000000000000" + "-b7ad6b7169203331-01"}} {
		none, _ := telemetrytest.New(t, 0)
		_, span := none.Request(request(t, traceparent...), "/")
		require.False(t, span.On(), "%q", traceparent)
		all, spans := telemetrytest.New(t, 1)
		r, span := all.Request(request(t, traceparent...), "/")
		require.True(t, span.On(), "%q", traceparent)
		require.True(t, telemetry.Current(r.Context()).On())
		span.Answered(http.StatusAccepted, "id-1")
		require.False(t, spans.All()[0].Parent.IsValid(), "a trace of its own")
	}
}

func TestTheRatioIsKept(t *testing.T) {
	t.Parallel()
	tracer, _ := telemetrytest.New(t, 0.25)
	n := 0
	for range 4_000 {
		if _, span := tracer.Request(request(t), "/"); span.On() {
			n++
		}
	}
	require.InDelta(t, 1_000, n, 200, "7 standard deviations")
}

func TestACallersDecisionIsFollowed(t *testing.T) {
	t.Parallel()
	tracer, _ := telemetrytest.New(t, 1)
	_, span := tracer.Request(request(t, notSampled), "/")
	require.False(t, span.On())

	tracer, spans := telemetrytest.New(t, 0)
	r := request(t, sampled)
	r.Header.Set("Tracestate", "vendor=secret")
	r.Header.Set("Baggage", "user=secret")
	r, span = tracer.Request(r, "/")
	require.True(t, span.On())
	require.Regexp(t, "^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$", span.Traceparent())
	require.Empty(t, trace.SpanContextFromContext(r.Context()).TraceState().String(), "the caller's own goes no further")
	span.Answered(http.StatusAccepted, "id-1")
	require.Equal(t, "b7ad6b7169203331", spans.All()[0].Parent.SpanID().String())
	require.True(t, spans.All()[0].Parent.IsRemote())
}

func TestACallerCannotHaveEverythingTraced(t *testing.T) {
	t.Parallel()
	tracer, _ := telemetrytest.New(t, 0)
	n := 0
	for range 2_000 {
		if _, span := tracer.Request(request(t, sampled), "/"); span.On() {
			n++
		}
	}
	require.GreaterOrEqual(t, n, 100)
	require.Less(t, n, 300, "100 a second")

	tracer, spans := telemetrytest.New(t, 1)
	for range 300 {
		_, span := tracer.Request(request(t, sampled), "/")
		span.Answered(http.StatusAccepted, "")
	}
	own := 0
	for _, s := range spans.All() {
		if !s.Parent.IsValid() {
			own++
		}
	}
	require.Greater(t, own, 100, "past that a request's trace is its own, not the one that a caller gave to all")
}

func TestOffCostsNothing(t *testing.T) {
	var off *telemetry.Tracer
	on, _ := telemetrytest.New(t, 0)
	r, ctx, failed := request(t), t.Context(), errors.New("failed")
	for name, tracer := range map[string]*telemetry.Tracer{"off": off, "not sampled": on} {
		require.Zero(t, testing.AllocsPerRun(100, func() {
			_, span := tracer.Request(r, "/")
			inner, reserve := tracer.Start(ctx, "reserve")
			reserve.ID("seckill.order.id", 1)
			reserve.End(nil)
			message := tracer.Create(inner, "T", 1)
			if message.Traceparent() != "" || tracer.Current(inner).On() || tracer.Process(ctx, "T", "", 1).On() {
				t.Error("traced")
			}
			message.End(failed)
			_, statement := telemetry.Statement(ctx, "SELECT 1")
			statement.End(nil)
			span.Answered(http.StatusOK, "")
		}), name)
	}
}

func TestARequestsSpanSaysWhatWasAskedAndAnsweredAndNoMore(t *testing.T) {
	t.Parallel()
	tracer, spans := telemetrytest.New(t, 1)
	_, span := tracer.Request(request(t), "/v1/sales/:id/orders")
	span.Answered(http.StatusServiceUnavailable, "id-1")
	s := spans.All()[0]
	require.Equal(t, "POST /v1/sales/:id/orders", s.Name)
	require.Equal(t, trace.SpanKindServer, s.SpanKind)
	require.Equal(t, codes.Error, s.Status.Code)
	require.Equal(t, map[string]any{
		"http.request.method": "POST", "http.route": "/v1/sales/:id/orders", "url.scheme": "http", "url.path": "/v1/sales/7/orders",
		"http.response.status_code": int64(503), "error.type": "503", "seckill.request.id": "id-1",
	}, s.Attrs)

	r := request(t)
	r.Method = "SMUGGLE"
	_, span = tracer.Request(r, "none")
	span.Answered(http.StatusMethodNotAllowed, "")
	s = spans.All()[1]
	require.Equal(t, "_OTHER none", s.Name)
	require.Equal(t, codes.Unset, s.Status.Code, "the caller's fault")
}

func TestABatchStandsInItsFirstTraceAndIsLinkedWithAll(t *testing.T) {
	t.Parallel()
	tracer, spans := telemetrytest.New(t, 1)
	_, a := telemetrytest.Request(t, tracer)
	_, b := telemetrytest.Request(t, tracer)
	ctx, batch := tracer.Batch(t.Context(), "settle", telemetry.Internal, []telemetry.Span{{}, a, {}, b})
	_, inner := telemetry.Start(ctx, "write back", telemetry.Internal)
	for _, s := range []telemetry.Span{inner, batch, a, b} {
		s.End(nil)
	}
	got := spans.All()
	require.Len(t, got, 4)
	write, settle, first, second := got[0], got[1], got[2], got[3]
	require.True(t, write.Inside(settle))
	require.True(t, settle.Inside(first))
	require.Len(t, settle.Links, 2)
	require.True(t, settle.LinkedWith(first))
	require.True(t, settle.LinkedWith(second))
	require.Empty(t, first.Links)
	require.True(t, second.LinkedWith(settle), "the way back from an order of another trace")

	ctx, batch = tracer.Batch(t.Context(), "settle", telemetry.Internal, make([]telemetry.Span, 3))
	require.False(t, batch.On())
	require.False(t, telemetry.Current(ctx).On())
}

func TestAMessageCarriesItsTrace(t *testing.T) {
	t.Parallel()
	tracer, spans := telemetrytest.New(t, 1)
	ctx, post := telemetrytest.Request(t, tracer)
	create := tracer.Create(ctx, "T", 77)
	process := tracer.Process(t.Context(), "T", create.Traceparent(), 77)
	send := tracer.Send("T", 9, []telemetry.Span{create})
	for _, s := range []telemetry.Span{create, process, send, post} {
		s.End(nil)
	}
	got := spans.All()
	require.Equal(t, "create T", got[0].Name)
	require.Equal(t, trace.SpanKindProducer, got[0].SpanKind)
	require.Equal(t, got[3].SpanContext.SpanID(), got[0].Parent.SpanID())
	require.Equal(t, "process T", got[1].Name)
	require.Equal(t, trace.SpanKindConsumer, got[1].SpanKind)
	require.Equal(t, got[0].SpanContext.SpanID(), got[1].Parent.SpanID())
	require.True(t, got[1].Parent.IsRemote())
	require.Equal(t, map[string]any{
		"messaging.system": "rocketmq", "messaging.destination.name": "T", "messaging.operation.name": "process",
		"messaging.operation.type": "process", "messaging.message.id": "77",
	}, got[1].Attrs)
	require.Equal(t, "send T", got[2].Name)
	require.Equal(t, trace.SpanKindClient, got[2].SpanKind)
	require.EqualValues(t, 9, got[2].Attrs["messaging.batch.message_count"])

	for _, bad := range []string{"", "garbage", notSampled} {
		require.False(t, tracer.Process(t.Context(), "T", bad, 77).On(), bad)
	}
}

func TestAStatementIsNamedByWhatItDoesToWhichTable(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"INSERT INTO orders (id, sale_id) VALUES (?, ?)":                "INSERT orders",
		"UPDATE sales SET available = available - ? WHERE id = ?":       "UPDATE sales",
		"SELECT available FROM sales WHERE id = ? FOR UPDATE":           "SELECT sales",
		"SELECT COALESCE(MAX(id), 0) FROM (SELECT id FROM orders) AS t": "SELECT orders",
		"COMMIT": "COMMIT",
		"":       "",
	} {
		tracer, spans := telemetrytest.New(t, 1)
		ctx, _ := telemetrytest.Request(t, tracer)
		_, span := telemetry.Statement(ctx, query)
		span.End(nil)
		s := spans.All()[0]
		require.Equal(t, want, s.Name)
		require.Equal(t, trace.SpanKindClient, s.SpanKind)
		require.Equal(t, "mysql", s.Attrs["db.system.name"])
	}
}

func TestALineOfATracedRequestHasItsIDs(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(telemetry.LogHandler(slog.NewTextHandler(&out, nil))).With("role", "api")
	log.InfoContext(t.Context(), "plain")
	require.NotContains(t, out.String(), "trace_id")
	tracer, _ := telemetrytest.New(t, 0)
	r, span := tracer.Request(request(t, sampled), "/")
	log.InfoContext(r.Context(), "traced")
	require.Contains(t, out.String(), "role=api trace_id=0af7651916cd43dd8448eb211c80319c span_id="+span.Traceparent()[36:52])
}

func TestAnObservationOfATracedRequestLeavesItsTrace(t *testing.T) {
	t.Parallel()
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Help: "Of a test.", Buckets: []float64{1, 2}})
	tracer, _ := telemetrytest.New(t, 0)
	_, span := tracer.Request(request(t, sampled), "/")
	telemetry.Observe(h, 1.5, span)
	telemetry.Observe(h, 1.6, telemetry.Span{})
	var m dto.Metric
	require.NoError(t, h.Write(&m))
	require.EqualValues(t, 2, m.GetHistogram().GetSampleCount())
	exemplar := m.GetHistogram().GetBucket()[1].GetExemplar()
	require.InDelta(t, 1.5, exemplar.GetValue(), 0)
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c", exemplar.GetLabel()[0].GetValue())
}
