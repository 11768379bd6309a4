package audit

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"seckill/order"
	"seckill/stock"
)

// metrics are the findings of this process. One process of the fleet scans a
// sale: its findings stand until its next scan, or until another process should
// have made one.
type metrics struct {
	discrepancies *prometheus.GaugeVec
	lastSuccess   prometheus.Gauge
	oversold      prometheus.Gauge
	healed        prometheus.Counter
	deadLetters   *prometheus.GaugeVec
	refunds       prometheus.Gauge
	oldestRefund  prometheus.Gauge

	mu    sync.Mutex
	sales map[int64]*findings
}

// findings of one sale.
type findings struct {
	checked     []string // kinds that stood at the last check of the counters
	settledOver int64
	scanned     map[string]int // by kind, of the last scan
	rowsOver    int64
	scannedAt   time.Time
}

// scanValid is how long the findings of a scan are exported.
const scanValid = 3 * time.Minute

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		discrepancies: f.NewGaugeVec(prometheus.GaugeOpts{Name: "seckill_audit_discrepancies", Help: "Discrepancies that the last check and the last scan of this process found; repaired orders count until the next scan."}, []string{"kind"}),
		lastSuccess:   f.NewGauge(prometheus.GaugeOpts{Name: "seckill_audit_last_success_timestamp_seconds", Help: "When this process last scanned a sale, or had none to scan; take the maximum over all processes."}),
		oversold:      f.NewGauge(prometheus.GaugeOpts{Name: "seckill_oversold_units", Help: "Units of live orders above the totals of their sales."}),
		healed:        f.NewCounter(prometheus.CounterOpts{Name: "seckill_audit_healed_total", Help: "Orders that the audit repaired in Redis by replaying their result."}),
		deadLetters:   f.NewGaugeVec(prometheus.GaugeOpts{Name: "seckill_dead_letters", Help: "Stored dead letters, up to 10,000: refused messages until they are discarded, and results of orders that cannot have a row."}, []string{"kind"}),
		refunds:       f.NewGauge(prometheus.GaugeOpts{Name: "seckill_refunds_open", Help: "Payments that pay no order and are not marked as refunded, up to 10,000; take the maximum over all processes."}),
		oldestRefund:  f.NewGauge(prometheus.GaugeOpts{Name: "seckill_refunds_oldest_seconds", Help: "Age of the oldest payment that is not marked as refunded; 0 without one."}),
		sales:         map[int64]*findings{},
	}
	for _, k := range kinds {
		m.discrepancies.WithLabelValues(k).Set(0)
	}
	m.countDeadLetters(order.DeadLetterCount{})
	return m
}

func (m *metrics) of(saleID int64) *findings {
	f := m.sales[saleID]
	if f == nil {
		f = &findings{}
		m.sales[saleID] = f
	}
	return f
}

func (m *metrics) countDeadLetters(n order.DeadLetterCount) {
	m.deadLetters.WithLabelValues("message").Set(float64(n.Messages))
	m.deadLetters.WithLabelValues("verdict").Set(float64(n.Verdicts))
}

func (m *metrics) countRefunds(n order.RefundCount) {
	m.refunds.Set(float64(n.Payments))
	m.oldestRefund.Set(n.Oldest.Seconds())
}

// checked records what stands after a check of a sale's counters.
func (m *metrics) checked(saleID int64, kinds []string, s stock.Meta) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.of(saleID)
	f.checked, f.settledOver = kinds, max(0, s.Settled-s.Total)
	m.show()
}

// scanned records what a scan has found in a sale.
func (m *metrics) scanned(saleID int64, found []*mismatch, whole []Discrepancy, oversold int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.of(saleID)
	f.scanned, f.rowsOver, f.scannedAt = map[string]int{}, oversold, time.Now()
	for _, s := range found {
		f.scanned[s.kind]++
	}
	for _, d := range whole {
		f.scanned[d.Kind]++
	}
	m.show()
	m.lastSuccess.SetToCurrentTime()
}

// keep drops the findings of scans of sales that are no longer loaded, and all
// findings of sales that are no longer listed.
func (m *metrics) keep(listed, loaded map[int64]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, f := range m.sales {
		if loaded[id] {
			continue
		}
		f.scanned = nil
		if !listed[id] {
			delete(m.sales, id)
		}
	}
	m.show()
}

// show adds up the findings of all sales.
func (m *metrics) show() {
	sum := make(map[string]int, len(kinds))
	var oversold int64
	for _, f := range m.sales {
		over := f.settledOver
		for _, k := range f.checked {
			sum[k]++
		}
		if time.Since(f.scannedAt) < scanValid {
			over = max(over, f.rowsOver)
			for k, n := range f.scanned {
				sum[k] += n
			}
		}
		oversold += over
	}
	for _, k := range kinds {
		m.discrepancies.WithLabelValues(k).Set(float64(sum[k]))
	}
	m.oversold.Set(float64(oversold))
}
