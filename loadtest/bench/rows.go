package main

import (
	"fmt"
	"slices"
	"strings"
)

// row is one line of the result: the ratio of our rate to the baseline's, or a time in
// milliseconds.
type row struct {
	name       string
	must, goal float64 // of the ratio, or of the milliseconds
	inMillis   bool    // ours is a time, so less is better; there is no baseline
	ours, base []float64
	ratios     []float64
	dropped    int
	cpu        map[string][]float64 // µs per request or order, by process
	costs      []float64            // of a row that compares the program with itself: the API's CPU per order, ours : baseline
	note       string
}

// allRows returns all rows in the order of the report; docs/performance.md explains them.
// must has to be reached, goal is aimed at.
func allRows() []*row {
	return []*row{
		{name: "sold_out", must: 0.90, goal: 0.90},
		{name: "accepted_256", must: 0.42, goal: 0.50},
		{name: "accepted_64", must: 0.32, goal: 0.38},
		{name: "settled_256", must: 0.28, goal: 0.35},
		{name: "settled_64", must: 0.22, goal: 0.28},
		{name: "settled_256_events", must: 0.70, goal: 0.80},
		{name: "strict", must: 0.80, goal: 0.80},
		{name: "tracing", must: 0.95, goal: 0.98},
		{name: "metrics", must: 0.95, goal: 0.98},
		{name: "reserve", must: 2.5, goal: 3.4},
		{name: "drain_tx", must: 10, goal: 20},
		{name: "drain_bulk", must: 0.20, goal: 0.35},
		{name: "drain_tx_mysql8", must: 30, goal: 30},
		{name: "result_p50_ms", must: 30, goal: 30, inMillis: true},
		{name: "result_p99_ms", must: 150, goal: 150, inMillis: true},
		{name: "idle_p50_ms", must: 15, goal: 15, inMillis: true},
	}
}

// extras are measured besides the rows; each has its own part of the report.
var extras = []string{"spike", "memory", "growth", "allocs"}

// long are left out of a quick run, unless they are selected by name.
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

// add adds a round. A round that foreign load disturbed is dropped.
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

// ratio is ours relative to the baseline. If both took turns with pong, each is first
// related to pong: they ran at different times.
func ratio(ours, base sample) float64 {
	if ours.toPong > 0 && base.toPong > 0 {
		return ours.toPong / base.toPong
	}
	return ours.rate / base.rate
}

// result is compared with must and goal.
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

// spread is the lowest and the highest value.
func spread(v []float64) []float64 {
	if len(v) == 0 {
		return nil
	}
	return []float64{slices.Min(v), slices.Max(v)}
}
