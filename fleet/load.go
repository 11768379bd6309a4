package fleet

import (
	"maps"
	"slices"
	"time"
)

// loadWindow is the time over which a Load is computed.
const loadWindow = 5 * time.Second

// meter computes a Load from Totals.
type meter struct {
	samples []sample // the first is as old as loadWindow, or a little older
}

type sample struct {
	at time.Time
	Totals
}

// load adds a sample and returns the load.
func (m *meter) load(now time.Time, t Totals) Load {
	m.samples = append(m.samples, sample{now, t})
	for len(m.samples) > 2 && now.Sub(m.samples[1].at) >= loadWindow {
		m.samples = slices.Delete(m.samples, 0, 1)
	}
	l := Load{Inflight: t.Inflight, HeldPolls: t.HeldPolls, Backlog: t.Backlog, Workers: t.Workers, MySQLConns: t.MySQLConns, RedisConns: t.RedisConns}
	was := m.samples[0]
	over := now.Sub(was.at).Seconds()
	if over <= 0 {
		return l
	}
	l.Accepted = (t.Accepted - was.Accepted) / over
	l.Refused = (t.Refused - was.Refused) / over
	l.Settled = (t.Settled - was.Settled) / over
	l.ToResultP50 = quantile(.5, was.ToResult, t.ToResult)
	l.ToResultP99 = quantile(.99, was.ToResult, t.ToResult)
	return l
}

// quantile estimates the quantile of the results between two counts in seconds, as
// PromQL's histogram_quantile does; at most the last bound.
func quantile(q float64, was, is map[float64]uint64) float64 {
	bounds := slices.Sorted(maps.Keys(is))
	if len(bounds) == 0 {
		return 0
	}
	last := bounds[len(bounds)-1]
	rank := q * float64(is[last]-was[last])
	lower, below := 0., 0.
	for _, bound := range bounds {
		n := float64(is[bound] - was[bound])
		if n >= rank && n > below {
			return lower + (bound-lower)*(rank-below)/(n-below)
		}
		lower, below = bound, n
	}
	return 0
}
