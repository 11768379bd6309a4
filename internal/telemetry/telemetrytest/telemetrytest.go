// Package telemetrytest records spans, for tests.
package telemetrytest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"seckill/internal/telemetry"
)

// Spans are the ended spans of a tracer.
type Spans struct {
	tb  testing.TB
	all *tracetest.InMemoryExporter
}

// New returns a tracer that samples this ratio of the requests, and its spans.
func New(tb testing.TB, ratio float64) (*telemetry.Tracer, *Spans) {
	tb.Helper()
	all := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(all))
	return telemetry.NewTracer(provider, ratio), &Spans{tb, all}
}

// Discard returns a tracer whose spans are created, queued and dropped, as with a
// collector that takes them at once; for benchmarks.
func Discard(tb testing.TB, ratio float64) *telemetry.Tracer {
	tb.Helper()
	provider := sdk.NewTracerProvider(sdk.WithBatcher(tracetest.NewNoopExporter()))
	tb.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	return telemetry.NewTracer(provider, ratio)
}

// Request starts the span of a request, which the tracer must sample.
func Request(tb testing.TB, tracer *telemetry.Tracer) (context.Context, telemetry.Span) {
	tb.Helper()
	r, span := tracer.Request(httptest.NewRequestWithContext(tb.Context(), http.MethodPost, "/", http.NoBody), "/")
	require.True(tb, span.On())
	return r.Context(), span
}

// All returns the spans, in the order in which they ended.
func (s *Spans) All() []Span {
	stubs := s.all.GetSpans()
	all := make([]Span, len(stubs))
	for i, stub := range stubs {
		all[i] = Span{stub, map[string]any{}}
		for _, kv := range stub.Attributes {
			all[i].Attrs[string(kv.Key)] = kv.Value.AsInterface()
		}
	}
	return all
}

// Named returns the spans with this name.
func (s *Spans) Named(name string) (named []Span) {
	for _, span := range s.All() {
		if span.Name == name {
			named = append(named, span)
		}
	}
	return named
}

// One returns the only span with this name.
func (s *Spans) One(name string) Span {
	s.tb.Helper()
	named := s.Named(name)
	require.Len(s.tb, named, 1, name)
	return named[0]
}

// Span is an ended span.
type Span struct {
	tracetest.SpanStub

	Attrs map[string]any
}

// Inside reports whether s is a child of outer, in the same trace.
func (s Span) Inside(outer Span) bool {
	return s.Parent.SpanID() == outer.SpanContext.SpanID() && s.SpanContext.TraceID() == outer.SpanContext.TraceID()
}

// LinkedWith reports whether s has a link to other.
func (s Span) LinkedWith(other Span) bool {
	for _, l := range s.Links {
		if l.SpanContext.SpanID() == other.SpanContext.SpanID() && l.SpanContext.TraceID() == other.SpanContext.TraceID() {
			return true
		}
	}
	return false
}
