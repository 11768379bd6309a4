package main

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"seckill/catalog"
)

// saleMetrics exports the local copy of each sale that is loaded: at most a
// second old, and no store is asked for a scrape. A sale that is unloaded has
// no series from then on.
type saleMetrics struct {
	sales                                      func() []*catalog.Snapshot
	total, available, pending, settled, oldest *prometheus.Desc
}

func newSaleMetrics(sales func() []*catalog.Snapshot) *saleMetrics {
	of := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("seckill_"+name, help, []string{"sale"}, nil)
	}
	return &saleMetrics{
		sales:     sales,
		total:     of("stock_total_units", "Units of each sale in Redis; always available + pending + settled."),
		available: of("stock_available_units", "Units that can be reserved."),
		pending:   of("stock_pending_units", "Units reserved without a verdict."),
		settled:   of("stock_settled_units", "Units of confirmed and paid orders."),
		oldest:    of("order_oldest_pending_seconds", "Age of the order first in line for the sweeper; 0 when nothing is pending."),
	}
}

// Describe is for the registry.
func (m *saleMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.total, m.available, m.pending, m.settled, m.oldest} {
		ch <- d
	}
}

// Collect is for the registry.
func (m *saleMetrics) Collect(ch chan<- prometheus.Metric) {
	for _, s := range m.sales() {
		if !s.Meta.Loaded {
			continue
		}
		sale := strconv.FormatInt(s.ID, 10)
		gauge := func(d *prometheus.Desc, v float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, sale)
		}
		gauge(m.total, float64(s.Meta.Total))
		gauge(m.available, float64(s.Meta.Available))
		gauge(m.pending, float64(s.Meta.Pending))
		gauge(m.settled, float64(s.Meta.Settled))
		age := 0.0
		if first := s.Meta.OldestPending; !first.IsZero() {
			age = max(0, s.Meta.Now.Sub(first).Seconds())
		}
		gauge(m.oldest, age)
	}
}
