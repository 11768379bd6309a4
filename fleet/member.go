package fleet

import (
	"context"
	"crypto/rand"
	"log/slog"
	mrand "math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"golang.org/x/sync/errgroup"

	"seckill/order"
)

// Options of a Member; all are required.
type Options struct {
	Fleet *Fleet
	// Self is what the process says of itself for good: role, version, host, PID.
	Self Instance
	// Look adds what changes of it: addresses and worker number. It returns what
	// the process counts.
	Look func(self *Instance) Totals
	// Limits reads what operators have set, from MySQL.
	Limits func(ctx context.Context) (order.Limits, error)
	// Apply puts limits in force, where so many APIs live. It is called when either
	// changes, one call at a time, and must not block. The error is which of them
	// the process refuses; the others are in force all the same.
	Apply   func(l order.Limits, apis int) error
	Metrics prometheus.Registerer
	Log     *slog.Logger
}

// Member is this process in its fleet.
type Member struct {
	opts  Options
	self  Instance
	meter meter
	soon  chan struct{} // the next heartbeat is due now

	generation prometheus.Gauge
	instances  *prometheus.GaugeVec

	mu     sync.Mutex // guards what is in force, and calls of Apply
	limits order.Limits
	apis   apis
	// whole is the generation that was last in force as a whole, and refused what
	// of the limits is not.
	whole   uint64
	refused string
}

// NewMember returns a process that joins its fleet with Run.
func NewMember(o Options) *Member {
	f := promauto.With(o.Metrics)
	m := &Member{
		opts: o, self: o.Self, soon: make(chan struct{}, 1), apis: apis{now: 1},
		generation: f.NewGauge(prometheus.GaugeOpts{Name: "seckill_limits_generation", Help: "Generation of the limits that this process took over last as a whole; 0 before MySQL was read."}),
		instances:  f.NewGaugeVec(prometheus.GaugeOpts{Name: "seckill_instances", Help: "Processes that live, as this one heard last."}, []string{"role"}),
	}
	m.self.ID = o.Self.Role + "-" + strings.ToLower(rand.Text()[:10])
	m.self.StartedAt = time.Now().UTC().Truncate(time.Millisecond)
	for _, role := range []string{RoleAPI, RoleConsumer} {
		m.instances.WithLabelValues(role).Set(0)
	}
	return m
}

// Run keeps the process in its fleet, and the limits in force, until ctx is
// done. No server that is away ends it.
func (m *Member) Run(ctx context.Context) error {
	var g errgroup.Group
	g.Go(func() error { m.watch(ctx); return nil })
	g.Go(func() error { m.heartbeats(ctx); return nil })
	return g.Wait()
}

const beatTimeout = time.Second

// heartbeats says that the process lives, until ctx is done; then that it does not.
func (m *Member) heartbeats(ctx context.Context) {
	away := false
	for ctx.Err() == nil {
		err := m.heartbeat(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil && !away:
			m.opts.Log.WarnContext(ctx, "out of the list of instances", "err", err)
		case err == nil && away:
			m.opts.Log.InfoContext(ctx, "in the list of instances again")
		}
		away = err != nil
		wait(ctx, beatEvery, m.soon)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), beatTimeout)
	defer cancel()
	if err := m.opts.Fleet.leave(ctx, m.self.ID); err != nil {
		m.opts.Log.WarnContext(ctx, "still in the list of instances for some seconds", "err", err)
	}
}

func (m *Member) heartbeat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	self := m.self
	self.SaidAt = time.Now().UTC().Truncate(time.Millisecond)
	self.Load = m.meter.load(time.Now(), m.opts.Look(&self))
	m.mu.Lock()
	self.Generation, self.LimitsRefused = m.whole, m.refused
	m.mu.Unlock()
	live, err := m.opts.Fleet.beat(ctx, self)
	if err != nil {
		return err
	}
	for _, role := range []string{RoleAPI, RoleConsumer} {
		m.instances.WithLabelValues(role).Set(float64(live[role]))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.apis.heard(live[RoleAPI]) {
		m.opts.Log.InfoContext(ctx, "number of live APIs changed", "apis", m.apis.now)
		_ = m.apply() // refused as it was: whoever took these limits over has said so
	}
	return nil
}

// apply puts the limits in force; m.mu is held.
func (m *Member) apply() error {
	err := m.opts.Apply(m.limits, m.apis.now)
	m.refused = refusal(err)
	if err == nil {
		m.whole = m.limits.Generation
		m.generation.Set(float64(m.whole))
	}
	return err
}

// apis is how many APIs share the limits that are for all of them.
type apis struct {
	now    int
	recent [3]int // what the last heartbeats heard
	next   int
}

// heard takes what a heartbeat heard, and reports whether the number changed.
// More are believed at once, fewer when three heartbeats in turn have said so:
// for a moment after Redis was wiped nobody is in the list.
func (a *apis) heard(n int) bool {
	a.recent[a.next%len(a.recent)] = n
	a.next++
	was := a.now
	a.now = max(1, a.recent[0], a.recent[1], a.recent[2])
	return a.now != was
}

// wait waits for about that time, until woken or until ctx is done.
func wait(ctx context.Context, about time.Duration, woken <-chan struct{}) {
	t := time.NewTimer(about - about/10 + mrand.N(about/5)) // processes that start together do not ask together for good
	defer t.Stop()
	select {
	case <-t.C:
	case <-woken:
	case <-ctx.Done():
	}
}

func wake(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
