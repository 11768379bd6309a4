// Package telemetry records OpenTelemetry spans, and links log lines and
// histograms with them. If tracing is off or a request is not sampled, it costs a
// comparison and allocates nothing. No span contains a shopper ID or a secret.
//
// The API decides once whether a request is traced. Everything after it follows:
// by contexts within a process, and by a message's traceparent from the API to the
// consumer. Work for many orders at once is one span inside the first traced order
// of them, linked with all others. internal/otlp exports the spans.
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

// askedPerSecond bounds the traces that a process records because of a caller's
// traceparent, which anybody can send. At this rate they cost half a percent of a
// core.
const askedPerSecond = 100

// Tracer starts spans. On a nil Tracer, which means that tracing is off, every
// method returns at once. Safe for concurrent use.
type Tracer struct {
	otel  trace.Tracer
	ratio float64
	asked *rate.Limiter
}

// NewTracer returns a Tracer that samples this ratio of the requests, 0 to 1. The
// provider must record every span: the Tracer decides which ones to start.
func NewTracer(p trace.TracerProvider, ratio float64) *Tracer {
	return &Tracer{otel: p.Tracer(scope), ratio: ratio, asked: rate.NewLimiter(askedPerSecond, askedPerSecond)}
}

// Request starts the span of a request, if it is sampled, and returns the request
// that carries it. It follows a caller's traceparent: a request that the caller
// does not sample is not sampled, and one that it samples joins its trace. Since
// anybody can send one, only the first 100 a second are followed; for the others
// the ratio decides, as without a traceparent. The draw does not depend on a trace
// ID that a caller chose.
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

// known returns a known method; a caller may send any word.
func known(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions:
		return method
	default:
		return "_OTHER"
	}
}

// parent parses a traceparent (W3C Trace Context); an invalid one counts as none.
// The caller's tracestate and baggage are dropped.
func parent(ctx context.Context, traceparent ...string) trace.SpanContext {
	if len(traceparent) != 1 {
		return trace.SpanContext{}
	}
	carrier := propagation.MapCarrier{headerTraceparent: traceparent[0]}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(ctx, carrier))
}

const headerTraceparent = "traceparent"

// clip bounds the length of a caller's text in an attribute.
func clip(s string) string { return s[:min(len(s), 256)] }

// Current returns the span of ctx, if there is one.
func (t *Tracer) Current(ctx context.Context) Span {
	if t == nil {
		return Span{}
	}
	return Current(ctx)
}

// Start starts a span inside that of ctx, if there is one.
func (t *Tracer) Start(ctx context.Context, name string) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	return Start(ctx, name, Internal)
}

// Batch starts the span of work that is done for all of these spans at once; some
// or all may be zero. It is in the trace of the first one and is linked with all of
// them, and the others are linked with it.
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
