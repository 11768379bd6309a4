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
	// Self is the constant part of the process's description: role, version, host,
	// PID.
	Self Instance
	// Look fills in what changes: addresses and node ID. It returns the counters of
	// the process.
	Look func(self *Instance) Totals
	// Limits reads the limits that operators have set, from MySQL.
	Limits func(ctx context.Context) (order.Limits, error)
	// Apply puts limits in force, given the number of live APIs. It is called when
	// either changes, one call at a time, and must not block. The error says which
	// limits the process refuses; the others are in force anyway.
	Apply   func(l order.Limits, apis int) error
	Metrics prometheus.Registerer
	Log     *slog.Logger
}

// Member is this process in its fleet.
type Member struct {
	fleet      *Fleet
	look       func(self *Instance) Totals
	readStored func(ctx context.Context) (order.Limits, error)
	putInForce func(l order.Limits, apis int) error
	log        *slog.Logger

	self  Instance
	meter meter
	soon  chan struct{} // wakes the heartbeat

	generation prometheus.Gauge
	instances  *prometheus.GaugeVec

	mu     sync.Mutex // guards the limits in force, and calls of Apply
	limits order.Limits
	apis   apis
	// whole is the last generation that was fully in force; refused says which
	// limits are not.
	whole   uint64
	refused string
}

// NewMember returns the member of a fleet; it joins with Run.
func NewMember(o Options) *Member {
	f := promauto.With(o.Metrics)
	m := &Member{
		fleet: o.Fleet, look: o.Look, readStored: o.Limits, putInForce: o.Apply, log: o.Log,
		self: o.Self, soon: make(chan struct{}, 1), apis: apis{now: 1},
		generation: f.NewGauge(prometheus.GaugeOpts{Name: "seckill_limits_generation", Help: "Last generation of the limits that this process has taken over completely; 0 before it has read MySQL."}),
		instances:  f.NewGaugeVec(prometheus.GaugeOpts{Name: "seckill_instances", Help: "Live processes, as seen at the last heartbeat of this process."}, []string{"role"}),
	}
	m.self.ID = o.Self.Role + "-" + strings.ToLower(rand.Text()[:10])
	m.self.StartedAt = time.Now().UTC().Truncate(time.Millisecond)
	for _, role := range []string{RoleAPI, RoleConsumer} {
		m.instances.WithLabelValues(role).Set(0)
	}
	return m
}

// Run keeps the process in its fleet and its limits up to date until ctx is done.
// It does not end when a server is down.
func (m *Member) Run(ctx context.Context) error {
	var g errgroup.Group
	g.Go(func() error { m.watch(ctx); return nil })
	g.Go(func() error { m.heartbeats(ctx); return nil })
	return g.Wait()
}

const beatTimeout = time.Second

// heartbeats sends heartbeats until ctx is done, then leaves the fleet.
func (m *Member) heartbeats(ctx context.Context) {
	away := false
	for ctx.Err() == nil {
		err := m.heartbeat(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil && !away:
			m.log.WarnContext(ctx, "not in the list of instances", "err", err)
		case err == nil && away:
			m.log.InfoContext(ctx, "in the list of instances again")
		}
		away = err != nil
		wait(ctx, beatEvery, m.soon)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), beatTimeout)
	defer cancel()
	if err := m.fleet.leave(ctx, m.self.ID); err != nil {
		m.log.WarnContext(ctx, "still in the list of instances for a few seconds", "err", err)
	}
}

func (m *Member) heartbeat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	self := m.self
	self.SaidAt = time.Now().UTC().Truncate(time.Millisecond)
	self.Load = m.meter.load(time.Now(), m.look(&self))
	m.mu.Lock()
	self.Generation, self.LimitsRefused = m.whole, m.refused
	m.mu.Unlock()
	live, err := m.fleet.beat(ctx, self)
	if err != nil {
		return err
	}
	for _, role := range []string{RoleAPI, RoleConsumer} {
		m.instances.WithLabelValues(role).Set(float64(live[role]))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.apis.heard(live[RoleAPI]) {
		m.log.InfoContext(ctx, "number of live APIs changed", "apis", m.apis.now)
		_ = m.apply() // the limits are the same: a refusal has been logged
	}
	return nil
}

// apply puts the limits in force. The caller must hold m.mu.
func (m *Member) apply() error {
	err := m.putInForce(m.limits, m.apis.now)
	m.refused = Brief(err)
	if err == nil {
		m.whole = m.limits.Generation
		m.generation.Set(float64(m.whole))
	}
	return err
}

// apis counts the live APIs, which share the limits that hold for all of them.
type apis struct {
	now    int
	recent [3]int // of the last heartbeats
	next   int
}

// heard takes the number from a heartbeat, and reports whether the count changed.
// It rises at once, but falls only after three lower numbers in a row: the list is
// empty for a moment after Redis was wiped.
func (a *apis) heard(n int) bool {
	a.recent[a.next%len(a.recent)] = n
	a.next++
	was := a.now
	a.now = max(1, a.recent[0], a.recent[1], a.recent[2])
	return a.now != was
}

// wait waits for about the given time, until woken or until ctx is done.
func wait(ctx context.Context, about time.Duration, woken <-chan struct{}) {
	t := time.NewTimer(about - about/10 + mrand.N(about/5)) // spreads the processes that started together
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
