package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"seckill/loadtest/scrape"
)

// traced is a system whose requests are traced, with the default ratio, and the
// collector that gets its spans.
type traced struct {
	*system

	collector *process
	url       string
	spans     float64 // received so far
}

// tracedRatio is the default of SECKILL_TRACE_SAMPLE. A traced order has several
// spans.
const tracedRatio = 0.01

func (b *bench) startTraced(ctx context.Context, srv *servers) error {
	t := &traced{}
	b.traced = t
	var err error
	if t.collector, t.url, err = b.startOwn(ctx, "collector"); err != nil {
		return err
	}
	t.system, err = b.newSystem(ctx, "traced", srv, srv.dsn(), "SECKILL_TRACE_ENDPOINT="+t.url)
	return err
}

// processes are those besides the plain system's.
func (t *traced) processes() []int { return append(t.roles(), t.collector.pid) }

// observed measures the cost of being observed: accepted_256 again, while requests are
// traced, and while the metrics are read.
func (b *bench) observed(ctx context.Context, plain sample) error {
	if b.wants("tracing") {
		if err := b.fast.consume(ctx, false); err != nil {
			return err
		}
		var s sample
		err := b.instead(b.traced.processes, b.fast.roles, func() (err error) { s, err = b.acceptTraced(ctx); return err })
		if err != nil {
			return fmt.Errorf("tracing: %w", err)
		}
		b.compare("tracing", s, plain)
	}
	if b.wants("metrics") {
		s, sl, err := b.accepted(ctx, b.fast, target{conns: 256, inTurns: true, beside: b.scraping})
		if err == nil {
			err = sl.check(ctx)
		}
		if err != nil {
			return fmt.Errorf("metrics: %w", err)
		}
		b.compare("metrics", s, plain)
	}
	return nil
}

// compare is add for two runs of the same program. Its note is the API's CPU per order:
// the rate depends on all processes of the machine.
func (b *bench) compare(name string, ours, plain sample) {
	r, before := b.row(name), len(b.row(name).ours)
	b.add(name, ours, plain)
	if base := plain.cpuPerUnit()["api"]; base > 0 && len(r.ours) > before {
		r.costs = append(r.costs, ours.cpuPerUnit()["api"]/base)
		r.note = fmt.Sprintf("the API's CPU per order is %.3f of that without (%.3f-%.3f)", median(r.costs), slices.Min(r.costs), slices.Max(r.costs))
	}
}

func (b *bench) acceptTraced(ctx context.Context) (sample, error) {
	s, sl, err := b.accepted(ctx, b.traced.system, target{conns: 256, inTurns: true})
	if err != nil {
		return s, err
	}
	if err := errors.Join(sl.check(ctx), b.traced.consume(ctx, false)); err != nil { // the consumer sends its last spans when it stops
		return s, err
	}
	spans, err := counted(ctx, b.traced.url)
	if got := spans - b.traced.spans; err == nil && got < s.units*tracedRatio {
		err = fmt.Errorf("%.0f spans have reached the collector, of %.0f orders", got, s.units)
	}
	b.traced.spans = spans
	return s, err
}

// scraping reads the API's metrics each second, at least once, in the format that
// Prometheus requests.
func (b *bench) scraping(ctx context.Context, over <-chan struct{}) error {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		if _, err := scrape.Get(ctx, "http://"+b.fast.apiAdmin+"/metrics", "application/openmetrics-text; version=1.0.0"); err != nil {
			return err
		}
		select {
		case <-t.C:
		case <-over:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
