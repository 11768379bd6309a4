package fleet

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestALoadIsOfTheLastFiveSeconds(t *testing.T) {
	t.Parallel()
	var m meter
	now := time.Now()
	require.Equal(t, Load{Inflight: 3, Backlog: 9, Workers: 2}, m.load(now, Totals{Inflight: 3, Backlog: 9, Workers: 2, Accepted: 1000}), "one sample gives no rate")
	m = meter{}
	var l Load
	var accepted, refused float64
	for s := range 20 {
		if s >= 10 {
			accepted += 50 * .5
			refused += 10 * .5
		}
		for _, part := range []time.Duration{500 * time.Millisecond, 500 * time.Millisecond} {
			now = now.Add(part)
			l = m.load(now, Totals{Accepted: accepted, Refused: refused, Settled: 2 * accepted})
		}
	}
	require.InDelta(t, 25, l.Accepted, 3)
	require.InDelta(t, 5, l.Refused, 1)
	require.InDelta(t, 50, l.Settled, 6)
	for range 6 {
		now = now.Add(time.Second)
		l = m.load(now, Totals{Accepted: accepted})
	}
	require.Zero(t, l.Accepted, "older samples do not count")
	require.Less(t, len(m.samples), 8)
}

func TestAQuantileIsOfWhatCameInBetween(t *testing.T) {
	t.Parallel()
	was := map[float64]uint64{.1: 1000, .2: 1000, .5: 1000}
	require.Zero(t, quantile(.5, was, was), "no results")
	is := map[float64]uint64{.1: 1050, .2: 1100, .5: 1100}
	require.InDelta(t, .1, quantile(.5, was, is), 1e-9)
	require.InDelta(t, .198, quantile(.99, was, is), 1e-9)
	require.InDelta(t, .5, quantile(1, was, map[float64]uint64{.1: 1000, .2: 1000, .5: 1001}), 1e-9)
	require.Zero(t, quantile(.5, nil, nil))
}

func TestFewerAPIsAreBelievedAfterThreeHeartbeats(t *testing.T) {
	t.Parallel()
	a := apis{now: 1}
	var nows []int
	for _, heard := range []int{1, 3, 1, 1, 3, 2, 2, 2, 2, 0, 0, 0, 4} {
		a.heard(heard)
		nows = append(nows, a.now)
	}
	require.Equal(t, []int{1, 3, 3, 3, 3, 3, 3, 2, 2, 2, 2, 1, 4}, nows)
}
