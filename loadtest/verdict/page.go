package main

import (
	_ "embed"
	"fmt"
	"html/template"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"time"
)

//go:embed page.html
var pageText string

// page is what the page shows; all of it is in the one file, which asks nobody
// for anything.
type page struct {
	Name, When string
	Failed     int
	Promises   []promiseRow
	Thresholds []thresholdRow
	Times      []timeRow
	Counts     []countRow
	Charts     []chart
}

type promiseRow struct {
	Name, Detail string
	Kept         bool
}

type thresholdRow struct {
	Metric, Bound, Value string
	OK                   bool
}

type timeRow struct {
	Name  string
	Cells []string // med, avg, p95, p99, max
}

type countRow struct {
	Name  string
	Count int64
}

var timeColumns = []string{"med", "avg", "p(95)", "p(99)", "max"}

func writePage(f files, s summary, ps []promise, watched []sample) error {
	p := page{Name: f.name, When: time.Now().UTC().Format("2006-01-02 15:04 UTC"), Charts: charts(watched)}
	for _, pr := range ps {
		p.Promises = append(p.Promises, promiseRow{pr.name, pr.detail, pr.kept})
		if !pr.kept {
			p.Failed++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Metrics)) {
		p.add(name, s.Metrics[name])
	}
	t, err := template.New("page").Parse(pageText)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(f.html, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	return t.Execute(out, p)
}

func (p *page) add(name string, m metric) {
	for _, bound := range slices.Sorted(maps.Keys(m.Thresholds)) {
		if strings.HasPrefix(bound, "count>=0") {
			continue // there to have it counted
		}
		row := thresholdRow{name, bound, valueFor(bound, m), m.Thresholds[bound].OK}
		if !row.OK {
			p.Failed++
		}
		p.Thresholds = append(p.Thresholds, row)
	}
	switch {
	case strings.HasPrefix(name, "http_req_") || strings.HasPrefix(name, "iteration_"): // k6's own, of all requests together
	case m.Type == "trend" && m.Contains == "time":
		row := timeRow{Name: name}
		for _, c := range timeColumns {
			row.Cells = append(row.Cells, millis(m.Values[c]))
		}
		p.Times = append(p.Times, row)
	case m.Type == "counter" && m.Contains == "default" && m.Values["count"] > 0:
		p.Counts = append(p.Counts, countRow{name, int64(m.Values["count"])})
	}
}

// valueFor returns the value that a bound such as p(95)<250 is about.
func valueFor(bound string, m metric) string {
	name := bound[:max(0, strings.IndexAny(bound, "<>=!"))]
	v := m.Values[strings.TrimSpace(name)]
	if m.Contains == "time" {
		return millis(v)
	}
	return fmt.Sprintf("%.0f", v)
}

func millis(v float64) string {
	if v < 10 {
		return fmt.Sprintf("%.1f ms", v)
	}
	return fmt.Sprintf("%.0f ms", v)
}

// chart is one picture: curves over the seconds of the run.
type chart struct {
	Title  string
	Curves []curve
	XTicks []tick
	YTicks []tick
}

type curve struct {
	Name, Colour, Points string
}

type tick struct {
	At   float64
	Text string
}

// The plot, in pixels of its view box.
const (
	plotLeft, plotRight, plotTop, plotBase = 60, 940, 16, 220
)

var colours = []string{"#1a73e8", "#188038", "#d93025", "#9334e6", "#e37400", "#5f6368"}

func charts(ss []sample) []chart {
	if len(ss) < 2 {
		return nil
	}
	of := func(get func(gauge) float64) []float64 { return perSecond(ss, get) }
	waiting := make([]float64, len(ss))
	for i, s := range ss {
		for name, g := range s.Processes {
			was := ss[0].Processes[name]
			waiting[i] += g.Accepted - was.Accepted - (g.Settled - was.Settled)
		}
		waiting[i] = max(0, waiting[i])
	}
	cs := []chart{
		draw("purchases a second", ss, []string{"accepted", "refused", "settled"}, [][]float64{
			of(func(g gauge) float64 { return g.Accepted }), of(func(g gauge) float64 { return g.Refused }), of(func(g gauge) float64 { return g.Settled }),
		}),
		draw("accepted and not settled", ss, []string{"orders"}, [][]float64{waiting}),
	}
	names := slices.Sorted(maps.Keys(ss[0].Processes))
	each := func(title string, get func(gauge) float64) chart {
		values := make([][]float64, len(names))
		for k, name := range names {
			for _, s := range ss {
				values[k] = append(values[k], get(s.Processes[name]))
			}
		}
		return draw(title, ss, names, values)
	}
	return append(cs, each("memory (MiB)", func(g gauge) float64 { return g.RSS / mib }), each("goroutines", func(g gauge) float64 { return g.Goroutines }))
}

func draw(title string, ss []sample, names []string, values [][]float64) chart {
	seconds := func(i int) float64 { return float64(ss[i].UnixMS-ss[0].UnixMS) / 1000 }
	length, most := max(seconds(len(ss)-1), 1), 1.0
	for _, vs := range values {
		most = max(most, slices.Max(vs))
	}
	x := func(s float64) float64 { return plotLeft + s/length*(plotRight-plotLeft) }
	y := func(v float64) float64 { return plotBase - v/most*(plotBase-plotTop) }
	c := chart{Title: title}
	for v := 0.0; v <= most; v += niceStep(most) {
		c.YTicks = append(c.YTicks, tick{y(v), fmt.Sprintf("%.0f", v)})
	}
	for s := 0.0; s <= length; s += niceStep(length) {
		c.XTicks = append(c.XTicks, tick{x(s), fmt.Sprintf("%g s", s)})
	}
	for k, vs := range values {
		var b strings.Builder
		for i, v := range vs {
			fmt.Fprintf(&b, "%.1f,%.1f ", x(seconds(i)), y(v))
		}
		c.Curves = append(c.Curves, curve{names[k], colours[k%len(colours)], b.String()})
	}
	return c
}

// niceStep is 1, 2 or 5 times a power of ten, so that some five steps make the
// whole.
func niceStep(most float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(max(most, 1)/5)))
	for _, n := range []float64{1, 2, 5} {
		if n*unit*5 >= most {
			return max(n*unit, 1)
		}
	}
	return max(10*unit, 1)
}
