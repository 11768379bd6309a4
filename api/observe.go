package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"seckill/internal/problem"
	"seckill/internal/ratelimit"
)

// statusGone is counted for a request whose client went away before its answer.
const statusGone = 499

// errGone ends a request that nobody waits for any more.
var errGone = errors.New("api: client went away")

// observe is the one middleware: request ID, size limit, answers to errors,
// metrics, log. A request that ends without an answer ends its connection: left
// to itself, net/http would make it a 200 without a body.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		started := time.Now()
		s.Metrics.inflight.Inc()
		defer s.Metrics.inflight.Dec()
		route := s.Metrics.route(c.Path())
		r, span := s.Tracer.Request(c.Request(), route.name)
		if span.On() {
			c.SetRequest(r)
		}
		w := c.Response()
		id := s.requests.of(r)
		w.Header()["X-Request-Id"] = id
		var err error
		if r.ContentLength > maxBody {
			err = &problem.Failure{Type: tooLarge, Close: true}
		} else {
			err = shielded(next, c)
		}
		status := w.Status
		if err != nil {
			status = s.answer(c, err, id[0])
		}
		s.Metrics.answered(route, status)
		took := time.Since(started)
		route.took(took, span)
		span.Answered(status, id[0])
		if n := s.Limits.AccessLog; n > 0 && rand.IntN(n) == 0 {
			s.Log.LogAttrs(r.Context(), slog.LevelInfo, "request", slog.String("request_id", id[0]),
				slog.String("method", r.Method), slog.String("route", route.name), slog.String("path", clip(r.URL.Path)),
				slog.Int("status", status), slog.Duration("took", took), slog.String("user_agent", clip(r.UserAgent())))
		}
		if status == statusGone {
			panic(http.ErrAbortHandler)
		}
		return nil
	}
}

// shielded runs a handler and turns its panic into an error.
func shielded(next echo.HandlerFunc, c echo.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			if v == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
				panic(v)
			}
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return next(c)
}

// answer answers a request that failed and returns the status: statusGone for
// one that has got no answer. What is our fault is logged here and nowhere else.
func (s *Server) answer(c echo.Context, err error, requestID string) int {
	r, w := c.Request(), c.Response()
	if errors.Is(err, errGone) || errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		return statusGone
	}
	f := failureOf(err)
	if f.Status >= http.StatusInternalServerError && f.Cause != nil {
		s.logs.error(r.Context(), "request failed", slog.String("request_id", requestID), slog.String("route", c.Path()),
			slog.String("path", clip(r.URL.Path)), slog.Int("status", f.Status), slog.Any("err", f.Cause))
	}
	if c.Path() == routeBuy {
		s.Metrics.refused[f.Type].Inc()
	}
	if !w.Committed {
		writeFailure(w, r, f)
	}
	return w.Status
}

// clip bounds what of a request goes into a log line; slog escapes it.
func clip(s string) string { return s[:min(len(s), 256)] }

// requestIDs makes the IDs that join an answer to its log lines.
type requestIDs struct {
	prefix string // of this process
	n      *atomic.Uint64
}

func newRequestIDs() requestIDs {
	return requestIDs{prefix: strconv.FormatUint(rand.Uint64(), 36) + "-", n: new(atomic.Uint64)}
}

// of returns the ID that the request brought, if it is a plain one, or a new
// one.
func (q requestIDs) of(r *http.Request) []string {
	if id := r.Header["X-Request-Id"]; len(id) == 1 && plainID(id[0]) {
		return id
	}
	return []string{q.prefix + strconv.FormatUint(q.n.Add(1), 36)}
}

func plainID(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// logGate lets some lines a second through: an outage must not turn every
// refused request into a line.
type logGate struct {
	log     *slog.Logger
	rate    *ratelimit.Limiter
	skipped atomic.Int64
}

const (
	logsPerSecond = 20 // of each message
	messagesKept  = 64
)

func newLogGate(log *slog.Logger) *logGate {
	return &logGate{log: log, rate: ratelimit.New(logsPerSecond, logsPerSecond, messagesKept)}
}

func (g *logGate) error(ctx context.Context, msg string, attrs ...slog.Attr) {
	if _, ok := g.rate.Take(msg); !ok {
		g.skipped.Add(1)
		return
	}
	if n := g.skipped.Swap(0); n > 0 {
		attrs = append(attrs, slog.Int64("lines_skipped", n))
	}
	g.log.LogAttrs(ctx, slog.LevelError, msg, attrs...) //nolint:sloglint // a constant of the caller
}
