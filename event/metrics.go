package event

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"seckill/order"
	"seckill/queue"
)

// metrics is how far the events of all sales are behind, whichever process sends
// them, and what this one has sent.
type metrics struct {
	changes prometheus.Gauge
	oldest  atomic.Pointer[time.Time]    // of what has not left; nil: everything has
	sends   map[bool]prometheus.Observer // by whether all was stored
	events  map[order.Status]prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		changes: f.NewGauge(prometheus.GaugeOpts{Name: "seckill_event_lag_changes", Help: "Changes of all sales whose order events have not left."}),
		events:  map[order.Status]prometheus.Counter{},
	}
	sends := f.NewHistogramVec(prometheus.HistogramOpts{
		Name: "seckill_event_publish_duration_seconds", Help: "Time to send one page of order events, by result, stored or failed.", Buckets: prometheus.ExponentialBuckets(.001, 2, 12),
	}, []string{"result"})
	m.sends = map[bool]prometheus.Observer{true: sends.WithLabelValues("stored"), false: sends.WithLabelValues("failed")}
	// Of a time, not a number: while the database cannot be asked the age grows.
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "seckill_event_lag_seconds", Help: "Age of the oldest change whose order events have not left."}, func() float64 {
		if at := m.oldest.Load(); at != nil {
			return time.Since(*at).Seconds()
		}
		return 0
	})
	published := f.NewCounterVec(prometheus.CounterOpts{Name: "seckill_events_published_total", Help: "Order events that the broker has stored, repetitions included."}, []string{"status"})
	for _, s := range []order.Status{order.StatusConfirmed, order.StatusRejected, order.StatusPaid, order.StatusCancelled} {
		m.events[s] = published.WithLabelValues(string(s))
	}
	return m
}

func (m *metrics) lag(behind []order.EventCursor) {
	var changes uint64
	var age time.Duration
	for _, c := range behind {
		changes += c.Behind()
		age = max(age, c.Age)
	}
	m.changes.Set(float64(changes))
	if changes == 0 {
		m.oldest.Store(nil)
		return
	}
	at := time.Now().Add(-age)
	m.oldest.Store(&at)
}

func (m *metrics) sent(ms []queue.EventMessage, took time.Duration, err error) {
	m.sends[err == nil].Observe(took.Seconds())
	if err != nil {
		return
	}
	for _, e := range ms {
		m.events[e.Status].Inc()
	}
}
