package api

import (
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"seckill/internal/denial"
	"seckill/internal/problem"
	"seckill/internal/telemetry"
)

// Metrics of the API. Children are bound ahead or at first use: a lookup by
// labels costs more than the sold-out answer that it counts.
type Metrics struct {
	requests *prometheus.CounterVec
	inflight prometheus.Gauge
	held     prometheus.Gauge
	accepted prometheus.Counter
	payments *prometheus.CounterVec
	refused  map[*problem.Type]prometheus.Counter
	routes   map[string]*routeMetrics
}

type routeMetrics struct {
	name     string
	duration prometheus.Observer
	codes    [500]atomic.Pointer[prometheus.Counter] // by status - 100
}

// NewMetrics registers the API's metrics with reg, unless reg is nil.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	const ns = "seckill"
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: ns, Name: "http_requests_total",
			Help: "Requests answered, by route and status; 499: the client closed the connection.",
		}, []string{"route", "code"}),
		inflight: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: ns, Name: "http_inflight_requests",
			Help: "Requests in progress, including held polls, without sold-out refusals.",
		}),
		held: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: ns, Name: "http_held_polls",
			Help: "Held (long) polls that wait for a result.",
		}),
		accepted: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: ns, Name: "orders_accepted_total",
			Help: "Orders reserved and answered with 202; replays not counted.",
		}),
		payments: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: ns, Name: "payments_total",
			Help: "Payments answered, by outcome: paid, refund_required or wrong_amount; repeated events count again.",
		}, []string{"outcome"}),
		refused: make(map[*problem.Type]prometheus.Counter, len(problems)),
		routes:  make(map[string]*routeMetrics),
	}
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: ns, Name: "orders_refused_total",
		Help: "Purchases refused, by problem code.",
	}, []string{"reason"})
	for _, p := range problems {
		m.refused[p] = refused.WithLabelValues(p.Code)
	}
	for _, outcome := range []string{"paid", "refund_required", "wrong_amount"} {
		m.payments.WithLabelValues(outcome)
	}
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: ns, Name: "http_request_duration_seconds",
		Help:    "Time to answer by route, including the time held. Refusals from the local copy, which take microseconds, are not observed.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
	}, []string{"route"})
	for _, route := range []string{routeTime, routeSales, routeSale, routeBuy, routePermits, routeOrder, routeOrders, routeCancel, routePay, routeProblem, routeSpec, routePages, routeNone} {
		m.routes[route] = &routeMetrics{name: route, duration: duration.WithLabelValues(route)}
	}
	for path := range pages {
		m.routes[path] = m.routes[routePages]
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.inflight, m.held, m.accepted, m.payments, refused, duration)
	}
	return m
}

// NewDenials returns the recorder of the credentials that the API refuses. It registers
// with reg, unless reg is nil.
func NewDenials(reg prometheus.Registerer, log *slog.Logger) *denial.Recorder {
	return denial.NewRecorder(reg, log, denial.Shopper, denial.Payment, denial.Permit, denial.Challenge)
}

func (m *Metrics) route(path string) *routeMetrics {
	if r, ok := m.routes[path]; ok {
		return r
	}
	return m.routes[routeNone]
}

// answered counts one answer of a route.
func (m *Metrics) answered(r *routeMetrics, status int) {
	slot := &r.codes[min(max(status-100, 0), len(r.codes)-1)]
	c := slot.Load()
	if c == nil {
		bound := m.requests.WithLabelValues(r.name, strconv.Itoa(status))
		c = &bound
		slot.Store(c)
	}
	(*c).Inc()
}

func (r *routeMetrics) took(d time.Duration, span telemetry.Span) {
	telemetry.Observe(r.duration, d.Seconds(), span)
}

// Load is what an API process has in progress, and what it has counted since its
// start.
type Load struct {
	Inflight  float64 // requests, held polls included
	HeldPolls float64
	Accepted  float64 // purchases
	Refused   float64
}

// Load reads the metrics: cheap enough for every second.
func (s *Server) Load() Load {
	m := s.metrics
	l := Load{Inflight: valueOf(m.inflight), HeldPolls: valueOf(m.held), Accepted: valueOf(m.accepted)}
	for _, c := range m.refused {
		l.Refused += valueOf(c)
	}
	return l
}

// valueOf returns the value of a counter or a gauge.
func valueOf(m prometheus.Metric) float64 {
	var d dto.Metric
	if m.Write(&d) != nil { // it cannot fail
		return 0
	}
	return d.GetCounter().GetValue() + d.GetGauge().GetValue()
}
