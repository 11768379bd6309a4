package telemetry

import (
	"context"
	"log/slog"
)

// LogHandler returns h with trace_id and span_id in each line whose context has
// a span.
func LogHandler(h slog.Handler) slog.Handler { return logHandler{h} }

type logHandler struct{ slog.Handler }

// Handle adds the two and hands on.
func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	if s := Current(ctx); s.On() {
		r.AddAttrs(slog.String("trace_id", s.traceID()), slog.String("span_id", s.otel.SpanContext().SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs is slog.Handler's.
func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup is slog.Handler's.
func (h logHandler) WithGroup(name string) slog.Handler {
	return logHandler{h.Handler.WithGroup(name)}
}
