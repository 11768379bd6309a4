package api

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Limits are how much one process takes on.
type Limits struct {
	BuyInflight  int     // purchases in progress; more are refused as overloaded
	PollInflight int     // reads of orders in progress, without the held ones
	HeldPolls    int     // long polls held; past it a poll is answered at once
	ShopperRPS   float64 // requests a second of one shopper, at this process; 0: no limit
	ShopperBurst int     // requests a shopper may make at once
	AddressRPS   float64 // requests a second of one address (IPv6: of one /64), at this process; 0: no limit. Its burst is 5 s of it
	AccessLog    int     // one request in so many is logged; 0: none. Server errors always are
}

// DefaultLimits returns the defaults. At 5 ms a purchase, 4,096 in progress are
// twenty times what a core accepts: the limit is reached only if a dependency
// hangs.
func DefaultLimits() Limits {
	return Limits{BuyInflight: 4096, PollInflight: 4096, HeldPolls: 20_000, ShopperRPS: 10, ShopperBurst: 50, AccessLog: 1024}
}

const (
	// callersKept is how many shoppers, and how many addresses, have a bucket.
	callersKept = 1 << 17
	// addressBurst is the burst of an address, in seconds of its rate.
	addressBurst = 5
	// payInflight bounds the payments in progress, and the cancellations apart from
	// them: shoppers must not keep the provider out. The pool of connections is much
	// smaller.
	payInflight    = 256
	cancelInflight = 64
	// findInflight bounds the requests that wait until the local copy has looked for
	// an unknown sale. A look is short, and there is one a second.
	findInflight = 64
)

// SetLimits changes the limits but AccessLog, from the next request on. What is
// in progress or held goes on, and shoppers keep their buckets.
func (s *Server) SetLimits(l Limits) {
	s.buying.limit.Store(int64(l.BuyInflight))
	s.permitting.limit.Store(int64(l.BuyInflight)) // apart: a slow check of challenges must not block purchases
	s.polling.limit.Store(int64(l.PollInflight))
	s.waiters.setLimit(l.HeldPolls)
	s.shoppers.Set(l.ShopperRPS, l.ShopperBurst)
	s.addresses.Set(l.AddressRPS, int(l.AddressRPS*addressBurst))
}

// inflight counts what is in progress and refuses at the limit: nothing queues.
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

// What one shopper may have in progress. A browser opens six connections to a
// host.
const (
	checksPerShopper    = 1 // of challenges
	cancelsPerShopper   = 2
	heldPollsPerShopper = 6
)

// perShopper counts what each shopper has in progress and refuses at the limit.
// It is as large as what is in progress.
type perShopper struct {
	limit int

	mu sync.Mutex
	n  map[string]int
}

func newPerShopper(limit int) *perShopper { return &perShopper{limit: limit, n: make(map[string]int)} }

func (p *perShopper) enter(shopper string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n[shopper] >= p.limit {
		return false
	}
	p.n[shopper]++
	return true
}

func (p *perShopper) leave(shopper string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n[shopper]--; p.n[shopper] == 0 {
		delete(p.n, shopper)
	}
}

// deadlines gives requests contexts that end after a fixed time, even if the
// request ends before. All contexts of a quarter of a second end together: a
// timer for each costs 1 to 2 µs and 5 allocations, up to 7 % of the CPU time of
// an accepted purchase; this costs 0.2 µs and 1 allocation.
type deadlines struct {
	within  time.Duration
	current atomic.Pointer[deadline]
}

const deadlineStep = 250 * time.Millisecond

type deadline struct {
	context.Context //nolint:containedctx // it is nothing else

	made time.Time
}

// bounded has the end of one context and the values of another.
type bounded struct {
	context.Context //nolint:containedctx // for its end

	values context.Context //nolint:containedctx // for its values
}

// Value asks the context that ends first: package context finds there what
// contexts derived from this one hang on. It has no other values.
func (b bounded) Value(key any) any {
	if v := b.Context.Value(key); v != nil {
		return v
	}
	return b.values.Value(key)
}

// of returns a context with the values of ctx that ends in the time set, or up
// to deadlineStep earlier.
func (d *deadlines) of(ctx context.Context) context.Context {
	now := time.Now()
	cur := d.current.Load()
	if cur == nil || now.Sub(cur.made) >= deadlineStep {
		end, cancel := context.WithTimeout(context.Background(), d.within)
		context.AfterFunc(end, cancel) // it is never ended before
		next := &deadline{end, now}
		if d.current.CompareAndSwap(cur, next) {
			cur = next
		} else {
			cancel()
			cur = d.current.Load()
		}
	}
	return bounded{cur.Context, ctx}
}
