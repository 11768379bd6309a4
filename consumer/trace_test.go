package consumer_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"seckill/consumer"
	"seckill/internal/telemetry"
	"seckill/internal/telemetry/telemetrytest"
	"seckill/queue"
)

// tracing makes a rig trace, into a registry of its own.
func tracing(tracer *telemetry.Tracer, reg prometheus.Registerer) func(*rig) {
	return func(r *rig) { r.change = func(o *consumer.Options) { o.Tracer, o.Topic, o.Metrics = tracer, "T", reg } }
}

// sent is a message that belongs to a trace of its own.
func sent(t *testing.T, tracer *telemetry.Tracer, id int64) queue.Message {
	t.Helper()
	m := message(id)
	_, span := telemetrytest.Request(t, tracer)
	m.Traceparent = span.Traceparent()
	span.End(nil)
	return m
}

func TestASettlingBatchIsLinkedWithItsTracedOrders(t *testing.T) {
	t.Parallel()
	tracer, spans := telemetrytest.New(t, 1)
	reg := prometheus.NewRegistry()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 1, tracing(tracer, reg))
		defer r.stop()
		delivered := []queue.Message{message(1), sent(t, tracer, 2), message(3), sent(t, tracer, 4)}
		require.NoError(t, r.receiver.Handle(t.Context(), delivered))
	})
	posts, orders, batch := spans.Named("POST /"), spans.Named("process T"), spans.One("settle")
	require.Len(t, orders, 2)
	require.EqualValues(t, 4, batch.Attrs["seckill.batch.orders"])
	require.Len(t, batch.Links, 2)
	for i, o := range orders {
		require.True(t, o.Inside(posts[i]), "by what its message carries")
		require.True(t, batch.LinkedWith(o))
		require.Equal(t, "confirmed", o.Attrs["seckill.order.status"])
		require.Equal(t, []string{"2", "4"}[i], o.Attrs["seckill.order.id"])
		require.Equal(t, "1", o.Attrs["seckill.sale.id"])
		require.NotContains(t, o.Attrs, "shopper")
		require.NotContains(t, o.Attrs, "seckill.order.reason")
	}
	require.True(t, batch.Inside(orders[0]))
	require.True(t, orders[1].LinkedWith(batch))
	require.True(t, spans.One("write back").Inside(batch))

	require.Subset(t, exemplars(t, reg, "seckill_time_to_result_seconds"), []string{orders[1].SpanContext.TraceID().String()})
	require.Equal(t, []string{batch.SpanContext.TraceID().String()}, exemplars(t, reg, "seckill_settle_duration_seconds"))
}

// exemplars are the traces that a histogram names.
func exemplars(t *testing.T, reg *prometheus.Registry, name string) (traces []string) {
	t.Helper()
	fs, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range fs {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			traces = append(traces, named(m)...)
		}
	}
	return traces
}

func named(m *dto.Metric) (traces []string) {
	for _, b := range m.GetHistogram().GetBucket() {
		if e := b.GetExemplar(); e != nil {
			traces = append(traces, e.GetLabel()[0].GetValue())
		}
	}
	return traces
}

func TestABatchWithoutTracedOrdersIsNoSpan(t *testing.T) {
	t.Parallel()
	tracer, spans := telemetrytest.New(t, 1)
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 1, tracing(tracer, prometheus.NewRegistry()))
		defer r.stop()
		bad := message(2)
		bad.Traceparent = "garbage"
		require.NoError(t, r.receiver.Handle(t.Context(), []queue.Message{message(1), bad}))
		require.Equal(t, 2, r.mysql.settled())
	})
	require.Empty(t, spans.All())
}

func TestAnOrderLeftWithoutAVerdictEndsItsSpanAsFailed(t *testing.T) {
	t.Parallel()
	tracer, spans := telemetrytest.New(t, 1)
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 1, func(r *rig) {
			r.mysql.down.Store(true)
			tracing(tracer, prometheus.NewRegistry())(r)
		})
		acked := make(chan error, 1)
		go func() { acked <- r.receiver.Handle(t.Context(), []queue.Message{sent(t, tracer, 1)}) }()
		synctest.Wait()
		r.stop()
		require.ErrorIs(t, <-acked, consumer.ErrStopped)
	})
	require.Equal(t, "consumer: stopped", spans.One("process T").Status.Description)
	require.Equal(t, "*errors.errorString", spans.One("settle").Status.Description)
	require.Empty(t, spans.Named("write back"))
}

func TestAWriteBackThatFailsIsSeenInTheTrace(t *testing.T) {
	t.Parallel()
	tracer, spans := telemetrytest.New(t, 1)
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 1, func(r *rig) {
			r.redis.err = errors.New("redis is down")
			tracing(tracer, prometheus.NewRegistry())(r)
		})
		defer r.stop()
		require.NoError(t, r.receiver.Handle(t.Context(), []queue.Message{sent(t, tracer, 1)}))
	})
	require.Equal(t, "*errors.errorString", spans.One("write back").Status.Description, "what an error says may name a shopper")
	require.Equal(t, "Unset", spans.One("process T").Status.Code.String(), "the order has its verdict")
}
