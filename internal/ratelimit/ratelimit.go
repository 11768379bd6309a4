// Package ratelimit limits how often each caller may ask.
package ratelimit

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// ways is how many callers share a set of buckets.
const ways = 8

// Limiter is a token bucket for each caller, kept as the one time at which the
// bucket will be full again (GCRA). It tells callers apart by a hash of 64 bits
// under a key of this process. The buckets are in a table without pointers (16
// bytes each), which costs the garbage collector nothing. Where a set has no
// room, the bucket that is full first is forgotten: it loses least. The rate may
// change at any time; callers keep their buckets.
type Limiter struct {
	started time.Time
	seed    maphash.Seed
	callers int

	mu   sync.Mutex // for Set
	pace atomic.Pointer[pace]
	sets []set // made when a rate is first set
}

type pace struct {
	interval time.Duration // between requests at the steady rate; 0: no limit
	burst    time.Duration // interval x size of the bucket
	sets     []set
}

// set holds the buckets of the callers whose hashes end alike.
type set struct {
	mu     sync.Mutex
	caller [ways]uint64        // 0: none
	full   [ways]time.Duration // since started
}

// New returns a limiter that remembers so many callers, rounded up to a power of
// two. A rate of 0 is no limit, and takes no memory.
func New(perSecond float64, burst, callers int) *Limiter {
	l := &Limiter{started: time.Now(), seed: maphash.MakeSeed(), callers: callers}
	l.Set(perSecond, burst)
	return l
}

// longestBurst bounds what a bucket can hold, in time, so that sums do not
// overflow. A rate so low that a bucket would hold more is a little higher.
const longestBurst = 100 * 365 * 24 * time.Hour

// Set changes the rate for all callers.
func (l *Limiter) Set(perSecond float64, burst int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if perSecond <= 0 {
		l.pace.Store(&pace{})
		return
	}
	if l.sets == nil {
		l.sets = make([]set, 1<<bits.Len(uint(max(0, (l.callers-1)/ways))))
	}
	burst = max(1, burst)
	interval := time.Duration(min(float64(time.Second)/perSecond, float64(longestBurst/time.Duration(burst))))
	l.pace.Store(&pace{interval: interval, burst: interval * time.Duration(burst), sets: l.sets})
}

// On reports whether there is a limit.
func (l *Limiter) On() bool { return l.pace.Load().sets != nil }

// Take takes a token from the caller's bucket, or says how long until there is
// one.
func (l *Limiter) Take(caller string) (late time.Duration, ok bool) { return l.ask(caller, true) }

// Look is Take without taking.
func (l *Limiter) Look(caller string) (late time.Duration, ok bool) { return l.ask(caller, false) }

func (l *Limiter) ask(caller string, take bool) (time.Duration, bool) {
	p := l.pace.Load()
	if p.sets == nil {
		return 0, true
	}
	now := time.Since(l.started)
	hash := max(1, maphash.String(l.seed, caller))
	s := &p.sets[hash&uint64(len(p.sets)-1)]
	s.mu.Lock()
	defer s.mu.Unlock()
	at, known := s.find(hash)
	var full time.Duration
	if known {
		full = s.full[at]
	}
	if full > now+p.burst { // the bucket was larger before the rate changed: it is empty now
		full = now + p.burst
		s.full[at] = full
	}
	full = max(full, now) + p.interval
	if late := full - now - p.burst; late > 0 {
		return late, false
	}
	if take {
		s.caller[at], s.full[at] = hash, full
	}
	return 0, true
}

// find returns the place of a caller, or the one to give it.
func (s *set) find(hash uint64) (at int, known bool) {
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
