package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
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
	api, err := get(ctx, "http://"+b.fast.apiAdmin+"/metrics")
	if err != nil {
		return point{}, err
	}
	settled, err := metric(ctx, b.fast.consumerAdmin, settledTotal)
	return point{
		at:       time.Since(began),
		accepted: sumOf(api, acceptedTotal) - base.accepted,
		refused:  sumOf(api, refusedTotal) - base.refused,
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
