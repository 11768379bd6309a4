//go:build e2e

package test

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// scrape is the text of /metrics at one moment.
type scrape string

func (p *process) scrape() (scrape, error) {
	res, err := get("http://" + p.adminAddr() + "/metrics")
	return scrape(res.text), err
}

// sum adds up the samples whose line begins so, up to the end of the name or
// within the labels.
func (s scrape) sum(prefix string) (sum float64) {
	for line := range strings.Lines(string(s)) {
		rest, ok := strings.CutPrefix(line, prefix)
		if ok && (strings.Contains(prefix, "{") || strings.IndexAny(rest, " {") == 0) {
			n, _ := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' ')+1:]), 64)
			sum += n
		}
	}
	return sum
}

// metric is one sum of the process now.
func (p *process) metric(t *testing.T, prefix string) float64 {
	t.Helper()
	s, err := p.scrape()
	require.NoError(t, err)
	return s.sum(prefix)
}

// vitals are what must not grow, and the counters of orders.
type vitals struct{ rss, goroutines, accepted, settled float64 }

func (s scrape) vitals() vitals {
	return vitals{s.sum("process_resident_memory_bytes"), s.sum("go_goroutines"), s.sum("seckill_orders_accepted_total"), s.sum("seckill_orders_settled_total")}
}

// watchVitals samples the processes every half second until stop is closed. It
// returns the samples, by process, and the most orders that were accepted and not
// settled.
func watchVitals(t *testing.T, ps []*process, stop <-chan struct{}) (seen [][]vitals, waited float64) {
	seen = make([][]vitals, len(ps))
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		var accepted, settled float64
		for i, p := range ps {
			text, err := p.scrape()
			if err != nil {
				t.Errorf("metrics of %s: %v", p.args[0], err)
				return seen, waited
			}
			v := text.vitals()
			seen[i] = append(seen[i], v)
			accepted, settled = accepted+v.accepted, settled+v.settled
		}
		waited = max(waited, accepted-settled)
		select {
		case <-stop:
			return seen, waited
		case <-tick.C:
		}
	}
}

// flat compares the last third with the second: in the first a process warms up.
func flat(t *testing.T, name string, seen []vitals) {
	t.Helper()
	third := len(seen) / 3
	require.Positive(t, third)
	median := func(vs []vitals, of func(vitals) float64) float64 {
		slices.SortFunc(vs, func(a, b vitals) int { return cmp.Compare(of(a), of(b)) })
		return of(vs[len(vs)/2])
	}
	for what, c := range map[string]struct {
		of    func(vitals) float64
		slack float64
	}{
		"bytes":      {func(v vitals) float64 { return v.rss }, 24 << 20},
		"goroutines": {func(v vitals) float64 { return v.goroutines }, 200},
	} {
		was, is := median(seen[third:2*third], c.of), median(seen[2*third:], c.of)
		t.Logf("%s: %.0f %s, then %.0f", name, was, what, is)
		require.LessOrEqual(t, is, 1.2*was+c.slack, "%s of %s grow", what, name)
	}
}
