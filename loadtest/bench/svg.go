package main

import (
	"bytes"
	"fmt"
	"math"
	"time"
)

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
