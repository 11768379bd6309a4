package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/internal/telemetry/telemetrytest"
	"seckill/internal/testenv"
)

// discard is a ResponseWriter that costs nothing but its headers.
type discard struct {
	h      http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

type body struct{ strings.Reader }

func (*body) Close() error { return nil }

// run serves one request again and again.
func run(tb testing.TB, s *shop, status int, headers ...string) func() {
	tb.Helper()
	const text = `{"quantity":1,"reference":"cart-77"}`
	h := s.server.Handler()
	w := &discard{h: http.Header{}}
	r := request(http.MethodPost, buyPath, text, headers...)
	rd := &body{}
	return func() {
		rd.Reset(text)
		r.Body = rd
		clear(w.h)
		h.ServeHTTP(w, r)
		if w.status != status {
			tb.Fatalf("status %d", w.status)
		}
	}
}

func soldOutShop(tb testing.TB) *shop {
	tb.Helper()
	s := newShop(tb)
	s.catalog.MarkSoldOut(openSale)
	return s
}

func BenchmarkSoldOut(b *testing.B) {
	once := run(b, soldOutShop(b), http.StatusConflict)
	b.ReportAllocs()
	for b.Loop() {
		once()
	}
}

func BenchmarkAccepted(b *testing.B) {
	s := newShop(b)
	once := run(b, s, http.StatusAccepted)
	b.ReportAllocs()
	for b.Loop() {
		once()
		s.backends.asked, s.backends.published = s.backends.asked[:0], s.backends.published[:0]
	}
}

// Of a traced one the spans of request and reservation are counted; those of
// publishing and of the batches are made elsewhere.
func BenchmarkAcceptedTraced(b *testing.B) {
	for _, ratio := range []float64{0, 0.01, 1} {
		b.Run(fmt.Sprint(ratio), func(b *testing.B) {
			s := newShop(b, func(s *shop) { s.opts.Tracer = telemetrytest.Discard(b, ratio) })
			once := run(b, s, http.StatusAccepted)
			b.ReportAllocs()
			for b.Loop() {
				once()
				s.backends.asked, s.backends.published = s.backends.asked[:0], s.backends.published[:0]
			}
		})
	}
}

func BenchmarkPollRefused(b *testing.B) {
	once := refusedPoll(b)
	b.ReportAllocs()
	for b.Loop() {
		once()
	}
}

// refusedPoll polls again and again above the limit.
func refusedPoll(tb testing.TB) func() {
	tb.Helper()
	s := newShop(tb, func(s *shop) { s.opts.Limits.ShopperRPS, s.opts.Limits.ShopperBurst = 0.001, 1 })
	w, r := &discard{h: http.Header{}}, request(http.MethodGet, "/v1/orders/"+s.publicID(mine(0)), "")
	h := s.server.Handler()
	h.ServeHTTP(w, r)
	s.backends.reset()
	tb.Cleanup(func() {
		if calls := s.backends.calls(); len(calls) > 0 {
			tb.Errorf("a refused poll asked %v", calls)
		}
	})
	return func() {
		clear(w.h)
		h.ServeHTTP(w, r)
		if w.status != http.StatusTooManyRequests {
			tb.Fatalf("status %d", w.status)
		}
	}
}

func BenchmarkPollPending(b *testing.B) {
	s := newShop(b)
	o := mine(0)
	s.backends.entries = pendingEntry(o)
	w, r := &discard{h: http.Header{}}, request(http.MethodGet, "/v1/orders/"+s.publicID(o), "")
	h := s.server.Handler()
	b.ReportAllocs()
	for b.Loop() {
		clear(w.h)
		h.ServeHTTP(w, r)
		s.backends.asked = s.backends.asked[:0]
	}
}

// Not parallel: it counts what the whole process allocates.
func TestAllocationsStayLow(t *testing.T) {
	if testenv.RaceDetector {
		t.Skip("under the race detector pools forget")
	}
	require.LessOrEqual(t, testing.AllocsPerRun(200, run(t, soldOutShop(t), http.StatusConflict)), 0.0, "a sold-out refusal")
	require.LessOrEqual(t, testing.AllocsPerRun(200, run(t, newShop(t), http.StatusAccepted)), 18.0, "an accepted purchase")
	unsampled := newShop(t, func(s *shop) { s.opts.Tracer = telemetrytest.Discard(t, 0) })
	require.LessOrEqual(t, testing.AllocsPerRun(200, run(t, unsampled, http.StatusAccepted)), 18.0, "one that is not sampled")
	require.LessOrEqual(t, testing.AllocsPerRun(200, refusedPoll(t)), 12.0, "a poll above the limit")
}
