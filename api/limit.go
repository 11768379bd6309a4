package api

import (
	"hash/maphash"
	"net"
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
// least recently are forgotten.
type rateLimiter struct {
	started  time.Time
	interval time.Duration // between requests at the steady rate
	burst    time.Duration // interval x size of the bucket
	seed     maphash.Seed
	shards   [rateShards]rateShard
}

type rateShard struct {
	mu   sync.Mutex
	full *simplelru.LRU[string, time.Duration] // caller -> since started
}

// newRateLimiter returns nil, which lets everything pass, for a rate of 0.
func newRateLimiter(perSecond float64, burst int) *rateLimiter {
	if perSecond <= 0 {
		return nil
	}
	l := &rateLimiter{started: time.Now(), interval: time.Duration(float64(time.Second) / perSecond), seed: maphash.MakeSeed()}
	l.burst = l.interval * time.Duration(max(1, burst))
	for i := range l.shards {
		l.shards[i].full, _ = simplelru.NewLRU[string, time.Duration](rateEntries/rateShards, nil) // fails for a size below 1 only
	}
	return l
}

// take takes a token of the caller's bucket, or says how long until there is
// one.
func (l *rateLimiter) take(caller string) (time.Duration, bool) {
	if l == nil {
		return 0, true
	}
	now := time.Since(l.started)
	s := &l.shards[maphash.String(l.seed, caller)%rateShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	full, _ := s.full.Get(caller)
	full = max(full, now) + l.interval
	if late := full - now - l.burst; late > 0 {
		return late, false
	}
	s.full.Add(caller, full)
	return 0, true
}

// inflight counts what is under way and refuses at the limit: there is no
// queue to hide in.
type inflight struct {
	n     atomic.Int64
	limit int64
}

func (f *inflight) enter() bool {
	if f.n.Add(1) > f.limit {
		f.n.Add(-1)
		return false
	}
	return true
}

func (f *inflight) leave() { f.n.Add(-1) }

// address returns what a caller's address counts as: the socket's, or, behind
// a trusted proxy, the last one in X-Forwarded-For that is no trusted proxy.
// IPv6 counts by /64: a subscriber has that many.
func address(r *http.Request, trusted []netip.Prefix) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for _, hop := range slices.Backward(hops) {
		ip = ip.Unmap().WithZone("")
		if !slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(ip) }) {
			break
		}
		next, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			break
		}
		ip = next
	}
	if ip = ip.Unmap().WithZone(""); ip.Is6() {
		return netip.PrefixFrom(ip, 64).Masked().String()
	}
	return ip.String()
}
