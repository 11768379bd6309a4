package consumer

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"seckill/internal/telemetry"
	"seckill/order"
)

type metrics struct {
	busy, idle        prometheus.Gauge
	batchSize         prometheus.Histogram
	duration          map[bool]prometheus.Observer // by whether it failed
	verdicts          map[order.Status]prometheus.Counter
	redeliveries      prometheus.Counter
	toResult          map[order.Status]prometheus.Observer
	writeBackFailures prometheus.Counter
	consumeDelay      prometheus.Histogram
}

// seconds are the buckets of the times that a shopper waits.
var seconds = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	duration := f.NewHistogramVec(prometheus.HistogramOpts{Name: "seckill_settle_duration_seconds", Help: "Time of one settling transaction, including retries.", Buckets: seconds}, []string{"result"})
	verdicts := f.NewCounterVec(prometheus.CounterOpts{Name: "seckill_orders_settled_total", Help: "Orders that got their result from this process."}, []string{"result"})
	toResult := f.NewHistogramVec(prometheus.HistogramOpts{Name: "seckill_time_to_result_seconds", Help: "Time from the creation of an order's ID to its commit and, unless Redis is down, its result there.", Buckets: seconds}, []string{"result"})
	workers := f.NewGaugeVec(prometheus.GaugeOpts{Name: "seckill_consumer_workers", Help: "Settling workers by what they do."}, []string{"state"})
	m := &metrics{
		busy:              workers.WithLabelValues("busy"),
		idle:              workers.WithLabelValues("idle"),
		batchSize:         f.NewHistogram(prometheus.HistogramOpts{Name: "seckill_settle_batch_size", Help: "Orders in one settling transaction.", Buckets: prometheus.ExponentialBuckets(1, 2, 9)}),
		duration:          map[bool]prometheus.Observer{true: duration.WithLabelValues("error"), false: duration.WithLabelValues("ok")},
		verdicts:          map[order.Status]prometheus.Counter{},
		redeliveries:      f.NewCounter(prometheus.CounterOpts{Name: "seckill_redeliveries_total", Help: "Orders delivered that already had their result."}),
		toResult:          map[order.Status]prometheus.Observer{},
		writeBackFailures: f.NewCounter(prometheus.CounterOpts{Name: "seckill_write_back_failures_total", Help: "Batches whose results were not written to Redis and are left to the tail of sale_changes."}),
		consumeDelay:      f.NewHistogram(prometheus.HistogramOpts{Name: "seckill_consume_delay_seconds", Help: "Time from storing a message in the broker to its delivery.", Buckets: seconds}),
	}
	for _, s := range []order.Status{order.StatusConfirmed, order.StatusRejected} {
		m.verdicts[s] = verdicts.WithLabelValues(string(s))
		m.toResult[s] = toResult.WithLabelValues(string(s))
	}
	return m
}

func (m *metrics) begin() { m.busy.Inc(); m.idle.Dec() }
func (m *metrics) end()   { m.busy.Dec(); m.idle.Inc() }

func (m *metrics) settled(ctx context.Context, took time.Duration, orders int, vs []order.Verdict, err error) {
	telemetry.Observe(m.duration[err != nil], took.Seconds(), telemetry.Current(ctx))
	m.batchSize.Observe(float64(orders))
	for _, v := range vs {
		if v.Seq == 0 {
			m.redeliveries.Inc()
		} else if c := m.verdicts[v.Status]; c != nil {
			c.Inc()
		}
	}
}

// observe records the time to the result, which shoppers notice. The ID has another
// machine's clock, so the value is as accurate as the machines' time synchronization.
func (m *metrics) observe(vs []order.Verdict, trace *batchTrace) {
	now := time.Now()
	for _, v := range vs {
		if o := m.toResult[v.Status]; o != nil && v.Seq != 0 {
			telemetry.Observe(o, now.Sub(v.ID.Time()).Seconds(), trace.of(v.ID))
		}
	}
}
