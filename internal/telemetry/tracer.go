// Package telemetry marks what the program does with spans of OpenTelemetry
// traces, and joins log lines and histograms with them. It promises that where
// tracing is off, or a request is not sampled, it costs a comparison and
// allocates nothing; and that no span carries who a shopper is, nor a secret.
//
// Whether a request is traced is decided once, where it comes in. Everything
// behind follows: through contexts within a process, and through a message's
// traceparent from the API to the consumer. Work that is done for many orders
// at once is a span inside the first traced one of them, linked with all.
// internal/otlp sends the spans away.
package telemetry

import (
	"context"
	"math/rand/v2"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
)

// scope names this program as the maker of its spans.
const scope = "seckill"

// askedPerSecond bounds the traces that a process records because a caller's
// traceparent says so. Anybody can say so; at this rate it costs half a percent
// of a core.
const askedPerSecond = 100

// Tracer begins spans. A nil Tracer is tracing that is off: each method returns
// at once. Safe for concurrent use.
type Tracer struct {
	otel  trace.Tracer
	ratio float64
	asked *rate.Limiter
}

// NewTracer returns a Tracer that samples so many of the requests, 0 to 1. The
// provider must record every span that it is asked for: which those are is
// decided here.
func NewTracer(p trace.TracerProvider, ratio float64) *Tracer {
	return &Tracer{otel: p.Tracer(scope), ratio: ratio, asked: rate.NewLimiter(askedPerSecond, askedPerSecond)}
}

// Request begins the span of a request, and returns the request that carries
// it, if this one is sampled. A caller's traceparent is followed: not sampled
// there, not sampled here; sampled there, part of the caller's trace. Since
// callers are anybody, only the first 100 a second are believed; the others
// count as if they had sent none, and the ratio decides. It draws by itself: a
// trace ID that a caller chose decides nothing.
func (t *Tracer) Request(r *http.Request, route string) (*http.Request, Span) {
	if t == nil {
		return r, Span{}
	}
	ctx, sampled := r.Context(), false
	caller := parent(ctx, r.Header["Traceparent"]...)
	switch {
	case caller.IsValid() && !caller.IsSampled():
	case caller.IsValid() && t.asked.Allow():
		ctx, sampled = trace.ContextWithRemoteSpanContext(ctx, caller), true
	default:
		sampled = rand.Float64() < t.ratio
	}
	if !sampled {
		return r, Span{}
	}
	method := known(r.Method)
	ctx, span := t.otel.Start(ctx, method+" "+route, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes( //nolint:spancheck // Answered ends it
		attribute.String("http.request.method", method),
		attribute.String("http.route", route),
		attribute.String("url.scheme", "http"),
		attribute.String("url.path", clip(r.URL.Path)),
	))
	return r.WithContext(ctx), Span{span} //nolint:spancheck // as above
}

// known is a method of ours; a caller may send any word.
func known(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions:
		return method
	default:
		return "_OTHER"
	}
}

// parent reads a traceparent (W3C Trace Context); an invalid one is none. What
// comes with it, tracestate and baggage, is the caller's and goes no further.
func parent(ctx context.Context, traceparent ...string) trace.SpanContext {
	if len(traceparent) != 1 {
		return trace.SpanContext{}
	}
	carrier := propagation.MapCarrier{headerTraceparent: traceparent[0]}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(ctx, carrier))
}

const headerTraceparent = "traceparent"

// clip bounds a caller's text in an attribute.
func clip(s string) string { return s[:min(len(s), 256)] }

// Current returns the span of ctx, if there is one.
func (t *Tracer) Current(ctx context.Context) Span {
	if t == nil {
		return Span{}
	}
	return Current(ctx)
}

// Start begins a span inside the one of ctx, if there is one.
func (t *Tracer) Start(ctx context.Context, name string) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	return Start(ctx, name, Internal)
}

// Batch begins the span of work that is done for all of these spans at once,
// of which some or all may be none. It stands in the trace of the first one and
// is linked with each, and each of the others with it.
func (t *Tracer) Batch(ctx context.Context, name string, kind Kind, of []Span) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	var links []trace.Link
	var first Span
	for _, s := range of {
		if s.On() {
			if !first.On() {
				first = s
			}
			links = append(links, trace.Link{SpanContext: s.otel.SpanContext()})
		}
	}
	if !first.On() {
		return ctx, Span{}
	}
	ctx, span := t.otel.Start(trace.ContextWithSpan(ctx, first.otel), name, trace.WithSpanKind(kind), trace.WithLinks(links...),
		trace.WithAttributes(attribute.Int("seckill.batch.traced", len(links))))
	for _, s := range of {
		if s.On() && s != first {
			s.otel.AddLink(trace.Link{SpanContext: span.SpanContext()})
		}
	}
	return ctx, Span{span}
}
