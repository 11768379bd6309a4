package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// traced is a system of its own whose requests are traced, with the default
// ratio, and the collector that takes its spans.
type traced struct {
	*system

	collector *process
	url       string
	spans     float64 // that came so far
}

// tracedRatio is the default of SECKILL_TRACE_SAMPLE. An order that is traced
// has several spans.
const tracedRatio = 0.01

func (b *bench) startTraced(ctx context.Context, srv *servers) error {
	t := &traced{}
	b.traced = t
	var err error
	if t.collector, t.url, err = b.startOwn(ctx, "collector"); err != nil {
		return err
	}
	t.system, err = b.newSystem(ctx, "traced", srv, srv.env["SECKILL_MYSQL_DSN"], "SECKILL_TRACE_ENDPOINT="+t.url)
	return err
}

// processes are those that the plain system does not have.
func (t *traced) processes() []int { return append(t.roles(), t.collector.pid) }

func (t *traced) close() error {
	if t == nil {
		return nil
	}
	err := t.system.close()
	_ = t.collector.stop() // it does not end in order
	return err
}

// observed measures what it costs to be watched: accepted_256 once more, while
// requests are traced, and while the metrics are read.
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

// compare is add for two runs of the same: the CPU that the API takes for an
// order says more than the rate, which all processes on the machine make.
func (b *bench) compare(name string, ours, plain sample) {
	r, before := b.row(name), len(b.row(name).ours)
	b.add(name, ours, plain)
	if base := plain.cpuPerUnit()["api"]; base > 0 && len(r.ours) > before {
		r.costs = append(r.costs, ours.cpuPerUnit()["api"]/base)
		r.note = fmt.Sprintf("the API's CPU for an order is %.3f of the plain one's (%.3f-%.3f)", median(r.costs), slices.Min(r.costs), slices.Max(r.costs))
	}
}

func (b *bench) acceptTraced(ctx context.Context) (sample, error) {
	s, sl, err := b.accepted(ctx, b.traced.system, target{conns: 256, inTurns: true})
	if err != nil {
		return s, err
	}
	if err := errors.Join(sl.check(ctx), b.traced.consume(ctx, false)); err != nil { // the consumer's end sends its last spans
		return s, err
	}
	spans, err := counted(ctx, b.traced.url)
	if got := spans - b.traced.spans; err == nil && got < s.units*tracedRatio {
		err = fmt.Errorf("%.0f spans have reached the collector, of %.0f orders", got, s.units)
	}
	b.traced.spans = spans
	return s, err
}

// scraping reads the API's metrics each second, at least once, in the format that Prometheus
// asks for.
func (b *bench) scraping(ctx context.Context, over <-chan struct{}) error {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		if err := scrape(ctx, b.fast.apiAdmin); err != nil {
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

func scrape(ctx context.Context, admin string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/metrics", http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
