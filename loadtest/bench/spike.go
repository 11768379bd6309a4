package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"seckill/loadtest/scrape"
)

// spike is a sale that everybody wants at once.
type spike struct {
	Stock      int     `json:"stock"`
	SoldIn     float64 `json:"sold_in_s"`                       // from the first order to the last
	Refused    float64 `json:"refused_rate"`                    // per second, once it was sold out
	P99        float64 `json:"p99_ms"`                          // of every answer
	Errors     int64   `json:"errors"`                          // requests without a response, and responses 5xx
	Backlog    float64 `json:"backlog_sold_out"`                // orders without a result when the last was accepted
	LastResult float64 `json:"last_result_s"`                   // after the last was accepted
	Allowed    float64 `json:"last_result_allowed_s,omitempty"` // backlog / drain rate + 1 s
	points     []point
}

// point has the counters at one moment.
type point struct {
	at                         time.Duration
	accepted, refused, settled float64
}

const (
	spikeStock  = 50_000
	spikeFor    = 30 * time.Second
	spikeSample = 200 * time.Millisecond
)

// spiking sells the stock to as many shoppers as wrk can send, for half a minute.
func (b *bench) spiking(ctx context.Context) (*spike, error) {
	r, length := &spike{Stock: spikeStock}, spikeFor
	if b.quick {
		r.Stock, length = spikeStock/5, spikeFor/3
	}
	if err := b.ready(ctx, b.fast); err != nil {
		return nil, err
	}
	sl, err := b.fast.open(ctx, r.Stock, 1)
	if err != nil {
		return nil, err
	}
	failures := b.fast.total(serverErrors)
	before, err := failures(ctx)
	if err != nil {
		return nil, err
	}
	last, err := b.spikeLoad(ctx, r, sl, length)
	if err != nil {
		return nil, err
	}
	after, err := failures(ctx)
	if err != nil {
		return nil, err
	}
	r.Errors += int64(after - before)
	if err := r.timings(ctx, sl, last); err != nil {
		return nil, err
	}
	if d := b.drainRate(); d > 0 {
		r.Allowed = r.Backlog/d + 1
	}
	return r, errors.Join(b.draw(ctx, r), sl.check(ctx))
}

// spikeLoad sends the load, samples the counters, and returns when the last order got
// its result.
func (b *bench) spikeLoad(ctx context.Context, r *spike, sl *sale, length time.Duration) (last time.Time, err error) {
	base, err := b.point(ctx, time.Now(), point{})
	if err != nil {
		return last, err
	}
	g, err := b.wrk(ctx, b.fast.url, 256, length, sl.names()...)
	if err != nil {
		return last, err
	}
	var waiting errgroup.Group
	waiting.Go(func() (err error) { last, err = r.lastResult(ctx, sl, g); return err })
	r.points, err = b.sampled(ctx, g, base)
	err = errors.Join(err, waiting.Wait())
	report, werr := g.wait()
	r.P99, r.Errors = float64(report.p99.Microseconds())/1000, report.errors
	return last, errors.Join(err, werr)
}

// lastResult waits until the whole stock has its results. It fails if wrk has ended
// with units left.
func (r *spike) lastResult(ctx context.Context, sl *sale, g *generator) (time.Time, error) {
	err := until(ctx, settleWithin, func() (bool, error) {
		ms, err := sl.ledger.Metas(ctx, sl.ids)
		if err != nil {
			return false, err
		}
		select {
		case <-g.done:
			if ms[0].Available > 0 {
				return false, fmt.Errorf("%d of %d units were not sold during the spike", ms[0].Available, r.Stock)
			}
		default:
		}
		return ms[0].Settled == int64(r.Stock), nil
	})
	return time.Now(), err
}

// sampled reads the counters until wrk ends.
func (b *bench) sampled(ctx context.Context, g *generator, base point) ([]point, error) {
	t := time.NewTicker(spikeSample)
	defer t.Stop()
	began := time.Now()
	var points []point
	for {
		p, err := b.point(ctx, began, base)
		if err != nil {
			return points, err
		}
		points = append(points, p)
		select {
		case <-g.done:
			return points, nil
		case <-ctx.Done():
			return points, ctx.Err()
		case <-t.C:
		}
	}
}

func (b *bench) point(ctx context.Context, began time.Time, base point) (point, error) {
	api, err := scrape.Get(ctx, "http://"+b.fast.apiAdmin+"/metrics")
	if err != nil {
		return point{}, err
	}
	settled, err := metric(ctx, b.fast.consumerAdmin, settledTotal)
	return point{
		at:       time.Since(began),
		accepted: scrape.Sum(api, acceptedTotal) - base.accepted,
		refused:  scrape.Sum(api, refusedTotal) - base.refused,
		settled:  settled - base.settled,
	}, err
}

// timings computes how long it took, by the times in the IDs of the orders.
func (r *spike) timings(ctx context.Context, sl *sale, last time.Time) error {
	sp, err := sl.span(ctx, time.Unix(0, 0))
	if err != nil {
		return err
	}
	r.SoldIn, r.LastResult = sp.lastMade.Sub(sp.made).Seconds(), last.Sub(sp.lastMade).Seconds()
	for _, p := range r.points {
		if p.accepted < float64(r.Stock) {
			continue
		}
		end := r.points[len(r.points)-1]
		r.Backlog = max(p.accepted-p.settled, 0)
		if d := (end.at - p.at).Seconds(); d > 0 {
			r.Refused = (end.refused - p.refused) / d
		}
		return nil
	}
	return errors.New("the last unit was sold when the spike was over")
}

// rateOver is the number of samples that a rate spans: one of them may be late.
const rateOver = 3

// table has a line per sample until some time after the sale is sold out, with the
// columns of spike.gnuplot.
func (r *spike) table() []byte {
	var w bytes.Buffer
	for i := rateOver; i < len(r.points); i++ {
		before, now := r.points[i-rateOver], r.points[i]
		if now.at.Seconds() > max(5, 3*r.SoldIn) {
			break
		}
		d := (now.at - before.at).Seconds()
		fmt.Fprintf(&w, "%.2f %.0f %.0f %.0f %.0f\n", now.at.Seconds(), (now.refused-before.refused)/d, (now.accepted-before.accepted)/d,
			(now.settled-before.settled)/d, max(now.accepted-now.settled, 0))
	}
	return w.Bytes()
}

//go:embed spike.gnuplot
var plot string

// draw plots the spike over time.
func (b *bench) draw(ctx context.Context, r *spike) error {
	data := filepath.Join(b.work, "spike.tsv")
	if err := os.WriteFile(data, r.table(), 0o600); err != nil {
		return err
	}
	set := fmt.Sprintf("data=%q; out=%q; heading='%d units, everybody at once: sold in %.1f s, last result %.1f s later'",
		data, filepath.Join(b.out, "spike.svg"), r.Stock, r.SoldIn, r.LastResult)
	c := exec.CommandContext(ctx, "gnuplot", "-e", set, "-")
	c.Stdin = strings.NewReader(plot)
	if text, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("gnuplot: %w: %s", err, text)
	}
	return nil
}
