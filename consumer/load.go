package consumer

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Load is the current state of a Pool and its counters since the start.
type Load struct {
	Workers int     // including those at their last batch
	Settled float64 // orders given their verdict
	// ToResult counts orders by the maximum seconds from their ID to their result. Each
	// bound includes the lower ones.
	ToResult map[float64]uint64
}

// Load reads the metrics: cheap enough for every second.
func (p *Pool) Load() Load {
	p.mu.Lock()
	l := Load{Workers: p.working, ToResult: map[float64]uint64{}}
	p.mu.Unlock()
	for _, c := range p.metrics.verdicts {
		l.Settled += read(c).GetCounter().GetValue()
	}
	for _, o := range p.metrics.toResult {
		h, ok := o.(prometheus.Metric)
		if !ok {
			continue
		}
		for _, b := range read(h).GetHistogram().GetBucket() {
			l.ToResult[b.GetUpperBound()] += b.GetCumulativeCount()
		}
	}
	return l
}

func read(m prometheus.Metric) *dto.Metric {
	var d dto.Metric
	_ = m.Write(&d) // it cannot fail
	return &d
}
