package event

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"seckill/order"
	"seckill/queue"
)

// metrics are the lag of the events of all sales, whichever process sends them,
// and what this process has sent.
type metrics struct {
	changes prometheus.Gauge
	oldest  atomic.Pointer[time.Time]    // of the unsent changes; nil when there are none
	sends   map[bool]prometheus.Observer // by whether all events were stored
	events  *prometheus.CounterVec       // by status
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		changes: f.NewGauge(prometheus.GaugeOpts{Name: "seckill_event_lag_changes", Help: "Changes of all sales whose order events are not published."}),
	}
	sends := f.NewHistogramVec(prometheus.HistogramOpts{
		Name: "seckill_event_publish_duration_seconds", Help: "Time to publish one page of order events, by result, stored or failed.", Buckets: prometheus.ExponentialBuckets(.001, 2, 12),
	}, []string{"result"})
	m.sends = map[bool]prometheus.Observer{true: sends.WithLabelValues("stored"), false: sends.WithLabelValues("failed")}
	// The gauge computes the age from a time, so it grows while the database is down.
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "seckill_event_lag_seconds", Help: "Age of the oldest change whose order events are not published."}, func() float64 {
		if at := m.oldest.Load(); at != nil {
			return time.Since(*at).Seconds()
		}
		return 0
	})
	m.events = f.NewCounterVec(prometheus.CounterOpts{Name: "seckill_events_published_total", Help: "Order events that the broker has stored, including duplicates."}, []string{"status"})
	for _, s := range []order.Status{order.StatusConfirmed, order.StatusRejected, order.StatusPaid, order.StatusCancelled, refundTag} {
		m.events.WithLabelValues(string(s))
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
		m.events.WithLabelValues(string(e.Status)).Inc()
	}
}
