package api

import (
	"hash/maphash"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	rateShards  = 16
	rateEntries = 1 << 17 // callers remembered; who was forgotten has a full bucket again
)

// rateLimiter is a token bucket for each caller, kept as the one time at which
// the bucket will be full again (GCRA). Memory is bounded: the callers seen
// least recently are forgotten. Its pace may change at any time; who has a
// bucket keeps it.
type rateLimiter struct {
	started time.Time
	pace    atomic.Pointer[pace] // nil lets everything pass
	seed    maphash.Seed
	shards  [rateShards]rateShard
}

type pace struct {
	interval time.Duration // between requests at the steady rate
	burst    time.Duration // interval x size of the bucket
}

type rateShard struct {
	mu   sync.Mutex
	full *simplelru.LRU[string, time.Duration] // caller -> since started
}

// newRateLimiter returns one that lets everything pass for a rate of 0.
func newRateLimiter(perSecond float64, burst int) *rateLimiter {
	l := &rateLimiter{started: time.Now(), seed: maphash.MakeSeed()}
	for i := range l.shards {
		l.shards[i].full, _ = simplelru.NewLRU[string, time.Duration](rateEntries/rateShards, nil) // fails for a size below 1 only
	}
	l.set(perSecond, burst)
	return l
}

// longestBurst bounds what a bucket can hold, in time: sums of it do not
// overflow. A rate so low that a bucket would hold more is a little higher.
const longestBurst = 100 * 365 * 24 * time.Hour

// set changes the pace for all callers.
func (l *rateLimiter) set(perSecond float64, burst int) {
	if perSecond <= 0 {
		l.pace.Store(nil)
		return
	}
	burst = max(1, burst)
	interval := time.Duration(min(float64(time.Second)/perSecond, float64(longestBurst/time.Duration(burst))))
	l.pace.Store(&pace{interval: interval, burst: interval * time.Duration(burst)})
}

// on reports whether it refuses anybody.
func (l *rateLimiter) on() bool { return l.pace.Load() != nil }

// take takes a token of the caller's bucket, or says how long until there is
// one.
func (l *rateLimiter) take(caller string) (time.Duration, bool) {
	p := l.pace.Load()
	if p == nil {
		return 0, true
	}
	now := time.Since(l.started)
	s := &l.shards[maphash.String(l.seed, caller)%rateShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	full, _ := s.full.Get(caller)
	if full > now+p.burst { // it was larger before the pace changed: no bucket is emptier than empty
		full = now + p.burst
		s.full.Add(caller, full)
	}
	full = max(full, now) + p.interval
	if late := full - now - p.burst; late > 0 {
		return late, false
	}
	s.full.Add(caller, full)
	return 0, true
}

// inflight counts what is under way and refuses at the limit: there is no
// queue to hide in.
type inflight struct {
	n     atomic.Int64
	limit atomic.Int64
}

func (f *inflight) enter() bool {
	if f.n.Add(1) > f.limit.Load() {
		f.n.Add(-1)
		return false
	}
	return true
}

func (f *inflight) leave() { f.n.Add(-1) }

// address returns what a caller's address counts as. IPv6 counts by /64: a
// subscriber has that many.
func address(r *http.Request, trusted []netip.Prefix) string {
	ip, ok := clientAddr(r, trusted)
	switch {
	case !ok:
		return r.RemoteAddr
	case ip.Is6():
		return netip.PrefixFrom(ip, 64).Masked().String()
	default:
		return ip.String()
	}
}

// clientIP returns the caller's address as others know it; empty where there is
// none.
func clientIP(r *http.Request, trusted []netip.Prefix) string {
	if ip, ok := clientAddr(r, trusted); ok {
		return ip.String()
	}
	return ""
}

// clientAddr returns the address of the socket, or, behind a trusted proxy, the
// last one in X-Forwarded-For that is no trusted proxy: what stands before it
// was written by the caller. The header is read from its end, and no further
// than it is believed, so that a long one costs nothing.
func clientAddr(r *http.Request, trusted []netip.Prefix) (netip.Addr, bool) {
	socket, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, false
	}
	ip := plainAddr(socket.Addr())
	for _, line := range slices.Backward(r.Header["X-Forwarded-For"]) {
		for line != "" {
			if !slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(ip) }) {
				return ip, true
			}
			i := strings.LastIndexByte(line, ',')
			next, err := netip.ParseAddr(strings.TrimSpace(line[i+1:]))
			if err != nil { // a proxy that writes what is no address
				return ip, true
			}
			ip, line = plainAddr(next), line[:max(i, 0)]
		}
	}
	return ip, true
}

func plainAddr(ip netip.Addr) netip.Addr { return ip.Unmap().WithZone("") }
