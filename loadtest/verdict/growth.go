package main

import (
	"fmt"
	"maps"
	"slices"
)

// How much more is allowed in the last third of the load than in the second: memory
// follows the garbage collector, goroutines the requests in progress.
const (
	rssFactor, rssSlack             = 1.15, 24 << 20 // bytes
	goroutineFactor, goroutineSlack = 1.3, 100
	leftOver                        = 50 // more goroutines at the end than at the start
	fewestLoaded                    = 9  // samples under load; fewer prove nothing
	mib                             = 1 << 20
)

// growth compares each process in the last third of the load with itself in the
// second; in the first it warms up. After the load its goroutines must be gone.
func growth(ss []sample) (ps []promise) {
	loaded := underLoad(ss)
	if len(loaded) < fewestLoaded {
		return []promise{{"memory and goroutines are flat", false, fmt.Sprintf("%d samples under load, too few", len(loaded))}}
	}
	third := len(loaded) / 3
	early, late := loaded[third:2*third], loaded[2*third:]
	first, last := ss[0], ss[len(ss)-1]
	for _, name := range slices.Sorted(maps.Keys(first.Processes)) {
		rss := func(g gauge) float64 { return g.RSS }
		was, is := medianOf(early, name, rss), medianOf(late, name, rss)
		ps = append(ps, promise{"memory of " + name, is > 0 && is <= rssFactor*was+rssSlack, fmt.Sprintf("%.0f MiB, then %.0f", was/mib, is/mib)})

		count := func(g gauge) float64 { return g.Goroutines }
		was, is = medianOf(early, name, count), medianOf(late, name, count)
		left := last.Processes[name].Goroutines - first.Processes[name].Goroutines
		kept := is > 0 && is <= goroutineFactor*was+goroutineSlack && last.Processes[name].Goroutines > 0 && left <= leftOver
		ps = append(ps, promise{"goroutines of " + name, kept, fmt.Sprintf("%.0f, then %.0f; at the end %+.0f", was, is, left)})
	}
	return ps
}

// underLoad returns the samples from the first to the last second in which the
// APIs had at least half as many requests as in most seconds. Not
// as in the busiest: at the end all shoppers list their orders at once.
func underLoad(ss []sample) []sample {
	rates := perSecond(ss, func(g gauge) float64 { return g.Requests })
	usual := slices.DeleteFunc(slices.Clone(rates), func(r float64) bool { return r <= 0 })
	if len(usual) == 0 {
		return nil
	}
	slices.Sort(usual)
	busy := func(r float64) bool { return r > 0 && r >= usual[len(usual)/2]/2 }
	from := slices.IndexFunc(rates, busy)
	to := from
	for i, r := range rates {
		if busy(r) {
			to = i
		}
	}
	return ss[from : to+1]
}

// perSecond returns the slope of a counter of all processes together; the first
// is 0.
func perSecond(ss []sample, of func(gauge) float64) []float64 {
	rates := make([]float64, len(ss))
	for i := 1; i < len(ss); i++ {
		var grown float64
		for name, now := range ss[i].Processes {
			if before, ok := ss[i-1].Processes[name]; ok {
				grown += of(now) - of(before)
			}
		}
		if seconds := float64(ss[i].UnixMS-ss[i-1].UnixMS) / 1000; seconds > 0 {
			rates[i] = grown / seconds
		}
	}
	return rates
}

// medianOf is of the samples that have the process; 0 when none has.
func medianOf(ss []sample, name string, of func(gauge) float64) float64 {
	var values []float64
	for _, s := range ss {
		if g, ok := s.Processes[name]; ok {
			values = append(values, of(g))
		}
	}
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/2]
}
