package simulation

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// trace is who did what when, bounded.
type trace struct {
	mu    sync.Mutex
	begin time.Time
	lines []string
}

const maxTrace = 5000

func (t *trace) notef(who, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) < maxTrace {
		t.lines = append(t.lines, fmt.Sprintf("%8.3f %-13s ", time.Since(t.begin).Seconds(), who)+fmt.Sprintf(format, args...))
	}
}

func (t *trace) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}

// logTo is a process's log as lines of the trace.
type logTo struct {
	trace *trace
	who   string
	attrs []slog.Attr
}

func (logTo) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

func (h logTo) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	for _, a := range h.attrs {
		b.WriteString(" " + a.String())
	}
	r.Attrs(func(a slog.Attr) bool { b.WriteString(" " + a.String()); return true })
	h.trace.notef(h.who, "log: %s%s", r.Message, b.String())
	return nil
}

func (h logTo) WithAttrs(as []slog.Attr) slog.Handler {
	h.attrs = append(slices.Clip(h.attrs), as...)
	return h
}

func (h logTo) WithGroup(string) slog.Handler { return h }
