package main

import (
	"fmt"
	"slices"
	"strings"
)

// row is one line of the result: what ours does for each one of the baseline,
// or a time in milliseconds.
type row struct {
	name, what string
	must, goal float64 // of the ratio, or of the milliseconds
	inMillis   bool    // ours is a time, and less is better; there is no baseline
	ours, base []float64
	ratios     []float64
	dropped    int
	cpu        map[string][]float64 // µs per request or order, by process
	costs      []float64            // CPU of the API for an order : the baseline's; where they are the same program
	note       string
}

// allRows returns every row there is, in the order of the report. Where must
// and goal differ, the first has to be reached and the second is aimed at.
func allRows() []*row {
	return []*row{
		{name: "sold_out", what: "sold-out refusals : bare Echo pong", must: 0.90, goal: 0.90},
		{name: "accepted_256", what: "accepted, 256 connections, consumers off : pong", must: 0.42, goal: 0.50},
		{name: "accepted_64", what: "accepted, 64 connections, consumers off : pong", must: 0.32, goal: 0.38},
		{name: "settled_256", what: "accepted and settled, 256 connections : pong", must: 0.28, goal: 0.35},
		{name: "settled_64", what: "accepted and settled, 64 connections : pong", must: 0.22, goal: 0.28},
		{name: "settled_256_events", what: "settled_256, every order event leaves : settled_256", must: 0.70, goal: 0.80},
		{name: "strict", what: "settled_256, every write synced : settled_256", must: 0.80, goal: 0.80},
		{name: "tracing", what: "accepted_256, 1 % traced into a collector : accepted_256", must: 0.95, goal: 0.98},
		{name: "metrics", what: "accepted_256, /metrics read each second : accepted_256", must: 0.95, goal: 0.98},
		{name: "reserve", what: "collector : redis-benchmark -P 1, one order a call", must: 2.5, goal: 3.4},
		{name: "drain_tx", what: "queue to MySQL and back : one order per transaction", must: 10, goal: 20},
		{name: "drain_bulk", what: "queue to MySQL and back : bulk insert, no checks", must: 0.20, goal: 0.35},
		{name: "drain_tx_mysql8", what: "drain_tx on MySQL 8.0 with its default binlog", must: 30, goal: 30},
		{name: "result_p50_ms", what: "POST to result, median", must: 30, goal: 30, inMillis: true},
		{name: "result_p99_ms", what: "POST to result, 99 %", must: 150, goal: 150, inMillis: true},
		{name: "idle_p50_ms", what: "POST to result, nobody else there, median", must: 15, goal: 15, inMillis: true},
	}
}

// extras are measured beside the rows; each has a part of its own in the report.
var extras = []string{"spike", "memory", "growth", "allocs"}

// long are left out of a quick run, unless they are named.
var long = []string{"drain_tx_mysql8", "growth"}

// selectRows reads --rows.
func selectRows(list string, quick bool) (map[string]bool, error) {
	names := slices.Clone(extras)
	for _, r := range allRows() {
		names = append(names, r.name)
	}
	chosen := make(map[string]bool, len(names))
	if list == "" {
		for _, n := range names {
			chosen[n] = !quick || !slices.Contains(long, n)
		}
		return chosen, nil
	}
	for n := range strings.SplitSeq(list, ",") {
		if !slices.Contains(names, n) {
			return nil, fmt.Errorf("no row %q; there are %s", n, strings.Join(names, ", "))
		}
		chosen[n] = true
	}
	return chosen, nil
}

// add takes one round. A round that foreign load disturbed is dropped.
func (r *row) add(ours, base sample, disturbed bool) {
	if disturbed {
		r.dropped++
		return
	}
	r.ours = append(r.ours, ours.rate)
	if base.rate > 0 {
		r.base = append(r.base, base.rate)
		r.ratios = append(r.ratios, ratio(ours, base))
	}
	if r.cpu == nil {
		r.cpu = map[string][]float64{}
	}
	for name, us := range ours.cpuPerUnit() {
		r.cpu[name] = append(r.cpu[name], us)
	}
}

// ratio is how many times as fast ours is. Two that took turns with pong, each in
// its own time, are compared by what they are to it.
func ratio(ours, base sample) float64 {
	if ours.toPong > 0 && base.toPong > 0 {
		return ours.toPong / base.toPong
	}
	return ours.rate / base.rate
}

// result is what is compared with must and goal.
func (r *row) result() float64 {
	if r.inMillis {
		return median(r.ours)
	}
	return median(r.ratios)
}

func (r *row) verdict() string {
	v := r.result()
	switch {
	case len(r.ours) == 0:
		return "not measured"
	case r.inMillis && v < r.goal, !r.inMillis && v >= r.goal:
		return "goal"
	case r.inMillis && v < r.must, !r.inMillis && v >= r.must:
		return "reached"
	default:
		return "MISSED"
	}
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	m := len(v) / 2
	if len(v)%2 == 1 {
		return v[m]
	}
	return (v[m-1] + v[m]) / 2
}

// spread is the lowest and the highest.
func spread(v []float64) []float64 {
	if len(v) == 0 {
		return nil
	}
	return []float64{slices.Min(v), slices.Max(v)}
}
