// Package ratelimit limits how often each caller may ask.
package ratelimit

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

const (
	rateSets = 1 << 14
	rateWays = 8 // x rateSets: 131,072 callers remembered
)

// rateLimiter is a token bucket for each caller, kept as the one time at which
// the bucket will be full again (GCRA). Callers are told apart by a hash of 64
// bits under a key of this process. They stand in a table without pointers (2
// MB), which is nothing to the garbage collector; where there is no room, the
// bucket that is full first is forgotten, which is the one that loses least. The
// pace may change at any time; who has a bucket keeps it.
type Limiter struct {
	started time.Time
	pace    atomic.Pointer[pace] // nil lets everything pass
	seed    maphash.Seed
	sets    []rateSet
}

type pace struct {
	interval time.Duration // between requests at the steady rate
	burst    time.Duration // interval x size of the bucket
}

// rateSet holds the buckets of the callers whose hashes begin alike.
type rateSet struct {
	mu     sync.Mutex
	caller [rateWays]uint64        // 0: nobody
	full   [rateWays]time.Duration // since started
}

// newRateLimiter returns one that lets everything pass for a rate of 0.
func New(perSecond float64, burst int) *Limiter {
	l := &Limiter{started: time.Now(), seed: maphash.MakeSeed(), sets: make([]rateSet, rateSets)}
	l.Set(perSecond, burst)
	return l
}

// longestBurst bounds what a bucket can hold, in time: sums of it do not
// overflow. A rate so low that a bucket would hold more is a little higher.
const longestBurst = 100 * 365 * 24 * time.Hour

// set changes the pace for all callers.
func (l *Limiter) Set(perSecond float64, burst int) {
	if perSecond <= 0 {
		l.pace.Store(nil)
		return
	}
	burst = max(1, burst)
	interval := time.Duration(min(float64(time.Second)/perSecond, float64(longestBurst/time.Duration(burst))))
	l.pace.Store(&pace{interval: interval, burst: interval * time.Duration(burst)})
}

// on reports whether it refuses anybody.
func (l *Limiter) On() bool { return l.pace.Load() != nil }

// take takes a token of the caller's bucket, or says how long until there is
// one.
func (l *Limiter) Take(caller string) (time.Duration, bool) {
	p := l.pace.Load()
	if p == nil {
		return 0, true
	}
	now := time.Since(l.started)
	hash := max(1, maphash.String(l.seed, caller))
	s := &l.sets[hash%rateSets]
	s.mu.Lock()
	defer s.mu.Unlock()
	at, known := s.find(hash)
	var full time.Duration
	if known {
		full = s.full[at]
	}
	if full > now+p.burst { // it was larger before the pace changed: no bucket is emptier than empty
		full = now + p.burst
		s.full[at] = full
	}
	full = max(full, now) + p.interval
	if late := full - now - p.burst; late > 0 {
		return late, false
	}
	s.caller[at], s.full[at] = hash, full
	return 0, true
}

// find returns the place of a caller, or the one to give it.
func (s *rateSet) find(hash uint64) (at int, known bool) {
	for i, c := range s.caller {
		if c == hash {
			return i, true
		}
		if s.full[i] < s.full[at] {
			at = i
		}
	}
	return at, false
}
