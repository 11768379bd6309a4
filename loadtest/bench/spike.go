package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"time"

	"seckill/loadtest/scrape"
)

// spike is one sale that everybody wants at once.
type spike struct {
	Stock      int     `json:"stock"`
	SoldIn     float64 `json:"sold_in_s"`                       // from the first order to the last
	Refused    float64 `json:"refused_rate"`                    // a second, once it was sold out
	P99        float64 `json:"p99_ms"`                          // of every answer
	Errors     int64   `json:"errors"`                          // requests without an answer, and answers 5xx
	Backlog    float64 `json:"backlog_sold_out"`                // orders without a result when the last was accepted
	LastResult float64 `json:"last_result_s"`                   // after the last was accepted
	Allowed    float64 `json:"last_result_allowed_s,omitempty"` // backlog / drain rate + 1 s
	points     []point
}

// point is what the counters said at one moment.
type point struct {
	at                         time.Duration
	accepted, refused, settled float64
}

const (
	spikeStock  = 50_000
	spikeFor    = 30 * time.Second
	spikeSample = 200 * time.Millisecond
)

// spiking sells the stock to as many as wrk can send, for half a minute.
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
	if err := os.WriteFile(filepath.Join(b.out, "spike.svg"), r.svg(), 0o644); err != nil {
		return nil, err
	}
	return r, sl.check(ctx)
}

// spikeLoad sends the load, samples the counters meanwhile, and returns when
// the last unit had its result.
func (b *bench) spikeLoad(ctx context.Context, r *spike, sl *sale, length time.Duration) (last time.Time, err error) {
	base, err := b.point(ctx, time.Now(), point{})
	if err != nil {
		return last, err
	}
	g, err := b.wrk(ctx, b.fast.url, 256, length, sl.names()...)
	if err != nil {
		return last, err
	}
	var wg sync.WaitGroup
	var waited error
	wg.Go(func() { last, waited = r.lastResult(ctx, sl, g) })
	r.points, err = b.sampled(ctx, g, base)
	wg.Wait()
	h, werr := g.wait()
	r.P99, r.Errors = float64(h.p99.Microseconds())/1000, h.errors
	return last, errors.Join(err, waited, werr)
}

// lastResult waits until the whole stock has its results; in vain when wrk has
// ended with units left.
func (r *spike) lastResult(ctx context.Context, sl *sale, g *generator) (time.Time, error) {
	err := until(ctx, settleWithin, func() (bool, error) {
		ms, err := sl.ledger.Metas(ctx, sl.ids)
		if err != nil {
			return false, err
		}
		select {
		case <-g.done:
			if ms[0].Available > 0 {
				return false, fmt.Errorf("%d of %d units were not sold within the spike", ms[0].Available, r.Stock)
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

// timings says how long it took, by the IDs of the orders, which hold the time.
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

// The picture: a plot with its axes, all in pixels.
const (
	svgWidth, svgHeight    = 960, 420
	left, right, top, base = 70, 940, 50, 370
)

// line is one curve of the picture.
type line struct {
	name, colour string
	at           func(before, now point) float64
}

// perSecond is the slope of a counter.
func perSecond(of func(point) float64) func(point, point) float64 {
	return func(before, now point) float64 {
		if d := (now.at - before.at).Seconds(); d > 0 {
			return (of(now) - of(before)) / d
		}
		return 0
	}
}

func spikeLines() []line {
	return []line{
		{"refused/s", "#9aa0a6", perSecond(func(p point) float64 { return p.refused })},
		{"accepted/s", "#1a73e8", perSecond(func(p point) float64 { return p.accepted })},
		{"settled/s", "#188038", perSecond(func(p point) float64 { return p.settled })},
		{"backlog", "#d93025", func(_, now point) float64 { return max(now.accepted-now.settled, 0) }},
	}
}

// smooth is the least time over which a rate is drawn: a sample may be late.
const smooth = 500 * time.Millisecond

// curves returns what each line shows until some time after the sale is sold
// out: times in seconds, and a value for each of them by line.
func (r *spike) curves() (times []float64, values [][]float64) {
	lines, before := spikeLines(), 0
	values = make([][]float64, len(lines))
	for k, now := range r.points {
		if now.at.Seconds() > max(5, 3*r.SoldIn) {
			break
		}
		for before+1 < k && now.at-r.points[before+1].at >= smooth {
			before++
		}
		if now.at-r.points[before].at < smooth {
			continue
		}
		times = append(times, now.at.Seconds())
		for i, l := range lines {
			values[i] = append(values[i], l.at(r.points[before], now))
		}
	}
	return times, values
}

// svg draws the spike over time.
func (r *spike) svg() []byte {
	times, values := r.curves()
	var most, length float64
	for i, at := range times {
		length = at
		for _, line := range values {
			most = max(most, line[i])
		}
	}
	step := niceStep(most)
	most = step * math.Ceil(max(most, 1)/step)
	x := func(s float64) float64 { return left + s/max(length, 0.001)*(right-left) }
	y := func(v float64) float64 { return base - v/most*(base-top) }

	var w bytes.Buffer
	fmt.Fprintf(&w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", svgWidth, svgHeight)
	fmt.Fprintf(&w, `<rect width="%d" height="%d" fill="#fff"/><text x="%d" y="24" font-size="15">%d units, everybody at once: sold in %.1f s, last result %.1f s later</text>`+"\n",
		svgWidth, svgHeight, left, r.Stock, r.SoldIn, r.LastResult)
	for v := 0.0; v <= most; v += step {
		fmt.Fprintf(&w, `<path d="M%d %.1fH%d" stroke="#e8eaed"/><text x="%d" y="%.1f" text-anchor="end" fill="#5f6368">%.0f</text>`+"\n", left, y(v), right, left-8, y(v)+4, v)
	}
	for s := 0.0; s <= length; s += niceStep(length) {
		fmt.Fprintf(&w, `<text x="%.1f" y="%d" text-anchor="middle" fill="#5f6368">%g s</text>`+"\n", x(s), base+20, s)
	}
	for i, l := range spikeLines() {
		fmt.Fprintf(&w, `<polyline fill="none" stroke="%s" stroke-width="2" points="`, l.colour)
		for k, at := range times {
			fmt.Fprintf(&w, "%.1f,%.1f ", x(at), y(values[i][k]))
		}
		fmt.Fprintf(&w, `"/><text x="%d" y="%d" fill="%s">%s</text>`+"\n", left+i*110, base+42, l.colour, l.name)
	}
	w.WriteString("</svg>\n")
	return w.Bytes()
}

// niceStep is 1, 2 or 5 times a power of ten: four to ten steps make the whole.
func niceStep(most float64) float64 {
	if most <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(most)))
	switch n := most / unit; {
	case n < 2:
		return unit / 5
	case n < 5:
		return unit / 2
	default:
		return unit
	}
}
