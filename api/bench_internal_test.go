package api

import (
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"seckill/internal/telemetry"
)

// BenchmarkCounting is what the metrics of an accepted purchase cost in the fast path.
func BenchmarkCounting(b *testing.B) {
	m := NewMetrics(prometheus.NewRegistry())
	b.ReportAllocs()
	for b.Loop() {
		m.inflight.Inc()
		m.accepted.Inc()
		route := m.route(routeBuy)
		m.answered(route, http.StatusAccepted)
		route.took(time.Millisecond, telemetry.Span{})
		m.inflight.Dec()
	}
}
