package api

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Load is what a front has under way, and what it has counted since its start.
type Load struct {
	Inflight  float64 // requests, held polls included
	HeldPolls float64
	Accepted  float64 // purchases
	Refused   float64
}

// Load reads the metrics: cheap enough for every second.
func (m *Metrics) Load() Load {
	l := Load{Inflight: valueOf(m.inflight), HeldPolls: valueOf(m.held), Accepted: valueOf(m.accepted)}
	for _, c := range m.refused {
		l.Refused += valueOf(c)
	}
	return l
}

// valueOf is what a counter or a gauge stands at.
func valueOf(m prometheus.Metric) float64 {
	var d dto.Metric
	if m.Write(&d) != nil { // it cannot fail
		return 0
	}
	return d.GetCounter().GetValue() + d.GetGauge().GetValue()
}
