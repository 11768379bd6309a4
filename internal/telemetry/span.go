package telemetry

import (
	"context"
	"fmt"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Kind is the side of a call that a span is on.
type Kind = trace.SpanKind

// The kinds.
const (
	Internal = trace.SpanKindInternal
	Client   = trace.SpanKindClient
	Producer = trace.SpanKindProducer
	Consumer = trace.SpanKindConsumer
)

// Span is a recorded step of a trace. Every method of the zero Span does nothing.
type Span struct{ otel trace.Span }

// Current returns the span of ctx, if there is one.
func Current(ctx context.Context) Span {
	if s := trace.SpanFromContext(ctx); s.IsRecording() {
		return Span{s}
	}
	return Span{}
}

// Start starts a span inside that of ctx; if there is none, it returns ctx
// unchanged. It searches ctx, so it is not for hot paths.
func Start(ctx context.Context, name string, kind Kind) (context.Context, Span) {
	outer := trace.SpanFromContext(ctx)
	if !outer.IsRecording() {
		return ctx, Span{}
	}
	ctx, span := outer.TracerProvider().Tracer(scope).Start(ctx, name, trace.WithSpanKind(kind)) //nolint:spancheck // the caller ends it
	return ctx, Span{span}                                                                       //nolint:spancheck // as above
}

// On reports whether s is recorded.
func (s Span) On() bool { return s.otel != nil }

// Int sets an attribute.
func (s Span) Int(key string, value int) {
	if s.otel != nil {
		s.otel.SetAttributes(attribute.Int(key, value))
	}
}

// Text sets an attribute.
func (s Span) Text(key, value string) {
	if s.otel != nil {
		s.otel.SetAttributes(attribute.String(key, value))
	}
}

// ID sets an attribute to an ID in decimal: viewers round numbers of 63 bits.
func (s Span) ID(key string, id int64) {
	if s.otel != nil {
		s.otel.SetAttributes(attribute.String(key, strconv.FormatInt(id, 10)))
	}
}

// End ends the span, as failed if err is not nil. A second call has no effect.
func (s Span) End(err error) {
	if s.otel == nil {
		return
	}
	if err != nil {
		reason := kindOf(err)
		s.otel.SetAttributes(attribute.String("error.type", reason))
		s.otel.SetStatus(codes.Error, reason)
	}
	s.otel.End()
}

// Answered ends the span of a request.
func (s Span) Answered(status int, requestID string) {
	if s.otel == nil {
		return
	}
	s.otel.SetAttributes(attribute.Int("http.response.status_code", status), attribute.String("seckill.request.id", requestID))
	if status >= 500 {
		s.otel.SetAttributes(attribute.String("error.type", strconv.Itoa(status)))
		s.otel.SetStatus(codes.Error, "")
	}
	s.otel.End()
}

// Traceparent returns the span as a message carries it; empty for the zero Span.
func (s Span) Traceparent() string {
	if s.otel == nil {
		return ""
	}
	sc := s.otel.SpanContext()
	return fmt.Sprintf("00-%s-%s-%s", sc.TraceID(), sc.SpanID(), sc.TraceFlags()&(trace.FlagsSampled|trace.FlagsRandom))
}

// traceID links a log line or an exemplar with the trace.
func (s Span) traceID() string { return s.otel.SpanContext().TraceID().String() }

// Observe adds a value to a histogram, with the trace of s, if any, as an exemplar:
// a slow bucket then leads to a slow request.
func Observe(h prometheus.Observer, value float64, s Span) {
	if s.otel != nil {
		if e, ok := h.(prometheus.ExemplarObserver); ok {
			e.ObserveWithExemplar(value, prometheus.Labels{"trace_id": s.traceID()})
			return
		}
	}
	h.Observe(value)
}
