package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const wrkSaid = `Running 4s test @ http://127.0.0.1:32895
  2 threads and 256 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    27.94ms   41.72ms 328.97ms   89.25%
  Latency Distribution
     50%  812.00us
     75%   36.22ms
     99%    1.25s
  86736 requests in 4.09s, 34.00MB read
  Socket errors: connect 0, read 2, write 0, timeout 3
  Non-2xx or 3xx responses: 736
Requests/sec:  21213.34
`

func TestWhatWrkSaysIsRead(t *testing.T) {
	t.Parallel()
	g := &generator{process: &process{done: make(chan struct{})}}
	close(g.done)
	g.out.WriteString(wrkSaid)
	h, err := g.wait()
	require.NoError(t, err)
	require.Equal(t, wrkReport{requests: 86736, not2xx: 736, errors: 5, p99: 1250 * time.Millisecond}, h)

	g.out.Reset()
	_, err = g.wait()
	require.Error(t, err, "a wrk that measured nothing")
}

func TestARowIsTheMedianOfTheRatiosOfItsRounds(t *testing.T) {
	t.Parallel()
	r := &row{must: 0.4, goal: 0.5}
	require.Equal(t, "not measured", r.verdict())
	for _, pair := range [][2]float64{{40, 100}, {90, 200}, {60, 100}} {
		r.add(sample{rate: pair[0]}, sample{rate: pair[1]}, false)
	}
	r.add(sample{rate: 1}, sample{rate: 100}, true)
	require.InDelta(t, 0.45, r.result(), 1e-9)
	require.Equal(t, []float64{0.4, 0.6}, r.json().Spread)
	require.Equal(t, 1, r.dropped)
	require.Equal(t, "reached", r.verdict())
	r.must = 0.46
	require.Equal(t, "MISSED", r.verdict())

	ms := &row{must: 30, goal: 20, inMillis: true}
	ms.add(sample{rate: 25}, sample{}, false)
	require.Equal(t, "reached", ms.verdict())
}

// The machine was half as fast while ours was measured; pong says so.
func TestTwoThatTookTurnsWithPongAreComparedByIt(t *testing.T) {
	t.Parallel()
	r := &row{must: 0.4, goal: 0.5}
	r.add(sample{rate: 40, toPong: 0.8}, sample{rate: 100, toPong: 1}, false)
	require.InDelta(t, 0.8, r.result(), 1e-9)
	require.Equal(t, []float64{40}, r.ours)
	require.Equal(t, []float64{100}, r.base)
}

func TestForeignLoadInATurnOfPongSpoilsTheRound(t *testing.T) {
	t.Parallel()
	b := &bench{}
	ours := sample{pong: &sample{rate: 50, foreign: 0.5}, toPong: 0.8}
	require.True(t, b.disturbed(ours, sample{}))
	require.True(t, b.disturbed(sample{}, ours), "the baseline's")
	require.True(t, b.disturbed(sample{}, ours.baseline()))
	require.False(t, b.disturbed(sample{}, sample{foreign: 0.05}))
	require.Equal(t, sample{rate: 50, foreign: 0.5, toPong: 1}, ours.baseline())
}

func TestTurnsOfOneMeasurementAreAddedUp(t *testing.T) {
	t.Parallel()
	var s sample
	for _, turn := range []sample{
		{units: 10, took: time.Second, foreign: 0.3, cpu: map[string]time.Duration{"api": 2, "redis": 1}},
		{units: 40, took: 2 * time.Second, foreign: 0, cpu: map[string]time.Duration{"api": 3}},
	} {
		s = s.plus(turn)
	}
	require.InDelta(t, 50.0/3, s.rate, 1e-9)
	require.InDelta(t, 0.1, s.foreign, 1e-9)
	require.Equal(t, map[string]time.Duration{"api": 5, "redis": 1}, s.cpu)
}

// Accepted 30, settled 20: the backlog that grew is not work done.
func TestWhatGrowsTheLeastCounts(t *testing.T) {
	t.Parallel()
	require.InDelta(t, 20, least([]float64{100, 5}, []float64{130, 25}), 0)
}

func TestAnUnknownRowIsRefused(t *testing.T) {
	t.Parallel()
	_, err := selectRows("sold_out,soldout", false)
	require.ErrorContains(t, err, `no row "soldout"`)
	rows, err := selectRows("sold_out,growth", true)
	require.NoError(t, err)
	require.Equal(t, map[string]bool{"sold_out": true, "growth": true}, rows)
	rows, err = selectRows("", true)
	require.NoError(t, err)
	require.True(t, rows["spike"])
	require.False(t, rows["growth"], "too long for a quick run")
}

func TestAMeasurementWithoutATurnIsRefused(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"-seconds=900ms", "-seconds=-4s", "-rounds=-1", "-threads=0"} {
		_, err := parse([]string{flag})
		require.ErrorContains(t, err, "at least", flag)
	}
	o, err := parse([]string{"-quick", "-seconds=1s"})
	require.NoError(t, err)
	require.Equal(t, time.Second, o.seconds)
}

func TestSpikeTable_HasRatesOverThreeSamples(t *testing.T) {
	t.Parallel()
	r := &spike{points: []point{
		{},
		{at: 200 * time.Millisecond},
		{at: 400 * time.Millisecond, accepted: 30},
		{at: 600 * time.Millisecond, accepted: 60, settled: 30, refused: 6},
		{at: time.Second, accepted: 80, settled: 80, refused: 86},
		{at: 6 * time.Second},
	}}
	require.Equal(t, "0.60 10 100 50 30\n1.00 108 100 100 0\n", string(r.table()))
	require.Empty(t, (&spike{}).table())
}
