package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Observe adds a value to a histogram, with the trace as an exemplar where s is
// one: a slow bucket then leads to what was slow.
func Observe(h prometheus.Observer, value float64, s Span) {
	if s.otel != nil {
		if e, ok := h.(prometheus.ExemplarObserver); ok {
			e.ObserveWithExemplar(value, prometheus.Labels{"trace_id": s.traceID()})
			return
		}
	}
	h.Observe(value)
}
