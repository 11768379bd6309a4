package audit

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"seckill/order"
	"seckill/stock"
)

// patrolMetrics are the findings of this process. A pass is made by one
// process of the fleet: its findings stand until its next one, or for as long
// as one may be expected from another.
type metrics struct {
	discrepancies *prometheus.GaugeVec
	lastSuccess   prometheus.Gauge
	oversold      prometheus.Gauge
	healed        prometheus.Counter
	deadLetters   *prometheus.GaugeVec

	mu    sync.Mutex
	sales map[int64]*findings
}

// findings of one sale.
type findings struct {
	looked      []string // kinds standing at the last look
	settledOver int64
	passed      map[string]int // by kind, of the last pass
	rowsOver    int64
	passedAt    time.Time
}

// passStands is how long the findings of a pass are shown.
const passStands = 3 * time.Minute

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		discrepancies: f.NewGaugeVec(prometheus.GaugeOpts{Name: "seckill_audit_discrepancies", Help: "What the last look and the last pass of this process found; healed ones too, until the next pass."}, []string{"kind"}),
		lastSuccess:   f.NewGauge(prometheus.GaugeOpts{Name: "seckill_audit_last_success_timestamp_seconds", Help: "When this process last read through a sale, or had none to read; take the maximum over the fleet."}),
		oversold:      f.NewGauge(prometheus.GaugeOpts{Name: "seckill_oversold_units", Help: "Units of live orders beyond the totals of their sales."}),
		healed:        f.NewCounter(prometheus.CounterOpts{Name: "seckill_audit_healed_total", Help: "Orders that the audit set right in Redis by replaying their verdict."}),
		deadLetters:   f.NewGaugeVec(prometheus.GaugeOpts{Name: "seckill_dead_letters", Help: "Dead letters that are kept, up to 10,000: messages that could not be read, until discarded, and verdicts on orders that can have no row."}, []string{"kind"}),
		sales:         map[int64]*findings{},
	}
	for _, k := range kinds {
		m.discrepancies.WithLabelValues(k).Set(0)
	}
	m.letters(order.DeadLetterCount{})
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

func (m *metrics) letters(n order.DeadLetterCount) {
	m.deadLetters.WithLabelValues("message").Set(float64(n.Messages))
	m.deadLetters.WithLabelValues("verdict").Set(float64(n.Verdicts))
}

// looked records what stands after a look at a sale's counters.
func (m *metrics) looked(saleID int64, kinds []string, s stock.Meta) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.of(saleID)
	f.looked, f.settledOver = kinds, max(0, s.Settled-s.Total)
	m.show()
}

// passed records what a pass has found in a sale.
func (m *metrics) passed(saleID int64, found []*mismatch, whole []Discrepancy, oversold int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.of(saleID)
	f.passed, f.rowsOver, f.passedAt = map[string]int{}, oversold, time.Now()
	for _, s := range found {
		f.passed[s.kind]++
	}
	for _, d := range whole {
		f.passed[d.Kind]++
	}
	m.show()
	m.lastSuccess.SetToCurrentTime()
}

// keep drops what passes found in sales that are no longer loaded, and all that
// was found in those that are not even listed.
func (m *metrics) keep(listed, loaded map[int64]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, f := range m.sales {
		if loaded[id] {
			continue
		}
		f.passed = nil
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
		for _, k := range f.looked {
			sum[k]++
		}
		if time.Since(f.passedAt) < passStands {
			over = max(over, f.rowsOver)
			for k, n := range f.passed {
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
