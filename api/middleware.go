package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"seckill/internal/denial"
	"seckill/internal/problem"
	"seckill/internal/ratelimit"
)

// statusGone is counted for a request whose client left before the answer.
const statusGone = 499

// errGone ends a request whose client left.
var errGone = errors.New("api: client left")

// observe is the only middleware: request ID, size limit, the limit of an address,
// answers to errors, metrics, log. A request that ends without an answer ends its
// connection: net/http would answer 200 without a body.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		started := time.Now()
		s.metrics.inflight.Inc()
		defer s.metrics.inflight.Dec()
		route := s.metrics.route(c.Path())
		r, span := s.tracer.Request(c.Request(), route.name)
		if span.On() {
			c.SetRequest(r)
		}
		w := c.Response()
		id := s.requests.of(r)
		w.Header()["X-Request-Id"] = id
		var err error
		if r.ContentLength > maxBody {
			err = &problem.Failure{Type: tooLarge, Close: true}
		} else if err = s.addressLimit(r, route.name); err == nil {
			err = recovered(next, c)
		}
		status := w.Status
		if err != nil {
			status = s.answerError(c, err, id[0])
		}
		s.metrics.answered(route, status)
		took := time.Since(started)
		route.took(took, span)
		span.Answered(status, id[0])
		if n := s.accessLog; n > 0 && rand.IntN(n) == 0 {
			s.log.LogAttrs(r.Context(), slog.LevelInfo, "request", slog.String("request_id", id[0]),
				slog.String("method", r.Method), slog.String("route", route.name), slog.String("path", clip(r.URL.Path)),
				slog.Int("status", status), slog.Duration("took", took), slog.String("user_agent", clip(r.UserAgent())))
		}
		if status == statusGone {
			panic(http.ErrAbortHandler)
		}
		return nil
	}
}

// recovered runs a handler and turns its panic into an error.
func recovered(next echo.HandlerFunc, c echo.Context) (err error) {
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

// answerError answers a failed request and returns the status: statusGone for no
// answer. Server errors are logged here and nowhere else.
func (s *Server) answerError(c echo.Context, err error, requestID string) int {
	r, w := c.Request(), c.Response()
	if errors.Is(err, errGone) || errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		return statusGone
	}
	f := failureOf(err)
	if f.Status >= http.StatusInternalServerError && f.Cause != nil {
		s.errorLog.error(r.Context(), "request failed", slog.String("request_id", requestID), slog.String("route", c.Path()),
			slog.String("path", clip(r.URL.Path)), slog.Int("status", f.Status), slog.Any("err", f.Cause))
	}
	denied := f.Cause
	if c.Path() == routePay {
		denied = paymentDenial(f)
	}
	if denied != nil {
		s.recordDenial(r, denied, c.Path(), requestID)
	}
	if c.Path() == routeBuy {
		s.metrics.refused[f.Type].Inc()
	}
	if !w.Committed {
		writeFailure(w, r, f)
	}
	return w.Status
}

// recordDenial counts and logs the refusal of a credential.
func (s *Server) recordDenial(r *http.Request, err error, route, requestID string) {
	if _, ok := errors.AsType[*denial.Error](err); ok {
		s.denials.Record(r.Context(), err, slog.String("route", route), slog.String("address", s.address(r)), slog.String("request_id", requestID))
	}
}

// clip bounds the part of a request in a log line; slog escapes it.
func clip(s string) string { return s[:min(len(s), 256)] }

// requestIDs makes the IDs that join an answer to its log lines.
type requestIDs struct {
	prefix string // of this process
	n      *atomic.Uint64
}

func newRequestIDs() requestIDs {
	return requestIDs{prefix: strconv.FormatUint(rand.Uint64(), 36) + "-", n: new(atomic.Uint64)}
}

// of returns the ID that the request brought, if it is plain, or a new one.
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

// errorLog writes a limited number of lines a second: an outage must not turn
// every refused request into a line.
type errorLog struct {
	log     *slog.Logger
	rate    *ratelimit.Limiter
	skipped atomic.Int64
}

const (
	logsPerSecond = 20 // of each message
	messagesKept  = 64
)

func newErrorLog(log *slog.Logger) *errorLog {
	return &errorLog{log: log, rate: ratelimit.New(logsPerSecond, logsPerSecond, messagesKept)}
}

func (l *errorLog) error(ctx context.Context, msg string, attrs ...slog.Attr) {
	if _, ok := l.rate.Take(msg); !ok {
		l.skipped.Add(1)
		return
	}
	if n := l.skipped.Swap(0); n > 0 {
		attrs = append(attrs, slog.Int64("lines_skipped", n))
	}
	l.log.LogAttrs(ctx, slog.LevelError, msg, attrs...) //nolint:sloglint // a constant of the caller
}

// cors lets pages of the listed origins call the API. It uses no cookies, so "*"
// gives nothing away: every caller needs a token.
type cors struct{ origins []string }

var (
	exposed     = []string{"Location, Retry-After, Idempotent-Replayed, X-Request-Id"}
	varyOrigin  = []string{"Origin"}
	corsMethods = []string{"GET, POST"}
	corsHeaders = []string{"Authorization, Content-Type, Idempotency-Key, Purchase-Permit, X-Request-Id"}
	corsMaxAge  = []string{"86400"}
)

// handle sets the headers of an answer to another origin, and answers a
// preflight: true if it did.
func (c cors) handle(w http.ResponseWriter, r *http.Request) bool {
	if len(c.origins) == 0 {
		return false
	}
	h := w.Header()
	h["Vary"] = varyOrigin
	origin := r.Header["Origin"]
	allowed := len(origin) == 1 && (slices.Contains(c.origins, origin[0]) || slices.Contains(c.origins, "*"))
	if allowed {
		h["Access-Control-Allow-Origin"] = origin
		h["Access-Control-Expose-Headers"] = exposed
	}
	if r.Method != http.MethodOptions || len(r.Header["Access-Control-Request-Method"]) == 0 {
		return false
	}
	if allowed {
		h["Access-Control-Allow-Methods"] = corsMethods
		h["Access-Control-Allow-Headers"] = corsHeaders
		h["Access-Control-Max-Age"] = corsMaxAge
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}
