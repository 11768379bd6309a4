package app

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"seckill/cmd/seckill/internal/checkup"
	"seckill/fleet"
	"seckill/internal/config"
	"seckill/internal/loop"
	"seckill/order/mysql"
	"seckill/queue/rocketmq"
	"seckill/stock"
)

const (
	rehearseEvery   = 3 * time.Second
	rehearseTimeout = 3 * time.Second // of one part
	// localAfter is how long a fault lasts before it can be called this process' own:
	// by then every other process has noticed one that all have, and said so in a
	// heartbeat.
	localAfter = 8 * time.Second
	// joinWithin is how long processes that start, or replace each other, may take to
	// find each other.
	joinWithin = 15 * time.Second
	// provenAfter is how long a process has run when it would have said if it had a
	// fault: until then that it says none is no proof, or a process that starts during
	// an outage would take all others out of service.
	provenAfter = joinWithin + localAfter
	sayAgain    = time.Minute // while a part fails
)

// part is one thing that a role does, tried without effect.
type part struct {
	name string // the label of its metric
	try  func(context.Context) error

	failing prometheus.Gauge
	// Owned by the goroutine that tries it.
	bad  bool
	said time.Time
}

// rehearsals try what a role does to its servers, every three seconds: a server may
// answer and still refuse whatever an order needs. The results are kept, so that
// asking for them costs nothing. Without parts, where the servers are embedded, there
// are no faults.
type rehearsals struct {
	parts []*part
	// others returns the other processes of the role; nil if it has no use for them.
	others func(context.Context) ([]fleet.Instance, error)
	log    *slog.Logger

	mu     sync.Mutex
	done   bool // all parts have been tried
	judged bool // and whose fault it is, if any failed, was decided once
	faults map[string]error
	since  time.Time // of the oldest fault
	local  bool      // most others of the role have none
}

// The parts that each role exports, whether or not it has them.
var (
	apiParts      = []string{"redis", "mysql", "send", "receive"}
	consumerParts = []string{"redis", "mysql", "receive", "group", "events"}
)

func newRehearsals(reg prometheus.Registerer, log *slog.Logger, exported []string, parts ...*part) *rehearsals {
	failing := promauto.With(reg).NewGaugeVec(prometheus.GaugeOpts{
		Name: "seckill_rehearsal_failing",
		Help: "1 if this process cannot do a part of an order's way, tried without effect every 3 s: redis, mysql, send, receive, events; group: the consumers' group has foreign members or subscriptions.",
	}, []string{"part"})
	for _, name := range exported {
		failing.WithLabelValues(name)
	}
	for _, p := range parts {
		p.failing = failing.WithLabelValues(p.name)
	}
	return &rehearsals{parts: parts, log: log, faults: map[string]error{}}
}

// run tries all parts at once, and again after a while, until ctx is done.
func (r *rehearsals) run(ctx context.Context) error {
	for len(r.parts) > 0 {
		var all sync.WaitGroup
		for _, p := range r.parts {
			all.Go(func() { r.rehearse(ctx, p) })
		}
		all.Wait()
		r.judge(ctx)
		if loop.Pause(ctx, rehearseEvery) != nil {
			return nil //nolint:nilerr // the end of ctx is no failure
		}
	}
	return nil
}

func (r *rehearsals) rehearse(ctx context.Context, p *part) {
	tryCtx, cancel := context.WithTimeout(ctx, rehearseTimeout)
	err := p.try(tryCtx)
	cancel()
	if ctx.Err() != nil {
		return
	}
	r.note(p.name, err)
	p.failing.Set(0)
	if err != nil {
		p.failing.Set(1)
	}
	switch {
	case err != nil && (!p.bad || time.Since(p.said) >= sayAgain):
		r.log.ErrorContext(ctx, "rehearsal fails: orders meet the same", "part", p.name, "err", err)
		p.said = time.Now()
	case err == nil && p.bad:
		r.log.InfoContext(ctx, "rehearsal succeeds again", "part", p.name)
	}
	p.bad = err != nil
}

func (r *rehearsals) note(name string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		delete(r.faults, name)
		return
	}
	if len(r.faults) == 0 {
		r.since = time.Now()
	}
	r.faults[name] = err
}

// judge decides whether a fault is this process' own: most other processes of the role
// work, so that they can take its requests. Redis is asked only while there is a fault.
func (r *rehearsals) judge(ctx context.Context) {
	r.mu.Lock()
	lasts := len(r.faults) > 0 && time.Since(r.since) >= localAfter
	r.mu.Unlock()
	local := false
	if lasts && r.others != nil {
		ctx, cancel := context.WithTimeout(ctx, rehearseTimeout)
		defer cancel()
		others, err := r.others(ctx)
		working := 0
		for _, o := range others {
			if works(o) {
				working++
			}
		}
		local = err == nil && 2*working > len(others)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done, r.local = true, local
	r.judged = r.judged || lasts || len(r.faults) == 0
}

// works reports whether a process is known to do all that its role does.
func works(i fleet.Instance) bool {
	return i.Fault == "" && len(i.BreakersOpen) == 0 && i.SaidAt.Sub(i.StartedAt) >= provenAfter // both by its own clock
}

// fault returns what this process cannot do, with the servers' reasons; nil for nothing.
func (r *rehearsals) fault() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var texts []string
	for _, p := range r.parts {
		if err := r.faults[p.name]; err != nil {
			texts = append(texts, p.name+": "+err.Error())
		}
	}
	if texts == nil {
		return nil
	}
	return errors.New(strings.Join(texts, "; "))
}

// tried reports whether all parts have been tried and, if one failed, whether other
// processes can do better has been decided.
func (r *rehearsals) tried() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.parts) == 0 || r.judged
}

// own returns the fault if other processes of the role do not have it: then they should
// get the requests.
func (r *rehearsals) own() error {
	r.mu.Lock()
	local := r.local
	r.mu.Unlock()
	if !local {
		return nil
	}
	return r.fault()
}

// lines describes each part, for people.
func (r *rehearsals) lines() (lines []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.parts {
		line := "rehearsal of " + p.name + ": "
		switch err := r.faults[p.name]; {
		case err != nil:
			line += err.Error()
		case !r.done:
			line += "not tried yet"
		default:
			line += "ok"
		}
		lines = append(lines, line)
	}
	return lines
}

// stores are the parts of both roles.
func (b *backend) stores() []*part {
	ledger, store := stock.New(b.redis), mysql.NewStore(b.db, slog.New(slog.DiscardHandler))
	return []*part{
		{name: "redis", try: func(ctx context.Context) error {
			if err := ledger.Rehearse(ctx); !redisBusy(err) {
				return err
			}
			return nil
		}},
		{name: "mysql", try: func(ctx context.Context) error {
			err := store.Rehearse(ctx)
			if errors.Is(err, context.DeadlineExceeded) && full(b.db) {
				return nil
			}
			return err
		}},
	}
}

// full reports whether all connections of this process are in use, which says nothing
// about MySQL.
func full(db *sql.DB) bool {
	s := db.Stats()
	return s.InUse >= s.MaxOpenConnections
}

// rehearseAPI returns the rehearsals of an API.
func rehearseAPI(cfg config.Config, b *backend, reg prometheus.Registerer, log *slog.Logger) *rehearsals {
	rocket, ok := b.queue.(*rocketQueue)
	if !ok {
		return newRehearsals(reg, log, apiParts)
	}
	r := newRehearsals(reg, log, apiParts, append(b.stores(),
		&part{name: "send", try: rocket.TrySend},
		&part{name: "receive", try: lasting(joinWithin, rocket.hasConsumers)})...)
	shop := newFleet(cfg, b.redis)
	r.others = func(ctx context.Context) (others []fleet.Instance, err error) {
		all, err := shop.Instances(ctx)
		for _, i := range all {
			if i.Role == fleet.RoleAPI {
				others = append(others, i)
			}
		}
		return others, err
	}
	return r
}

// lasting returns try without errors that last shorter than d. One goroutine may call it.
func lasting(d time.Duration, try func(context.Context) error) func(context.Context) error {
	var since time.Time
	return func(ctx context.Context) error {
		err := try(ctx)
		switch {
		case err == nil:
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		}
		if err != nil && time.Since(since) < d {
			return nil
		}
		return err
	}
}

var errNotJoined = errors.New("the broker does not count this consumer among those of the group: it gets no queues")

// rehearseConsumer returns the rehearsals of a consumer.
func rehearseConsumer(cfg config.Config, b *backend, s subscriber, reg prometheus.Registerer, log *slog.Logger) *rehearsals {
	rocket, ok := b.queue.(*rocketQueue)
	joined, _ := s.(*rocketmq.Subscriber)
	if !ok || joined == nil {
		return newRehearsals(reg, log, consumerParts)
	}
	shop := newFleet(cfg, b.redis)
	join := lasting(joinWithin, func(context.Context) error {
		if !joined.Joined() {
			return errNotJoined
		}
		return nil
	})
	parts := append(b.stores(),
		&part{name: "receive", try: func(ctx context.Context) error {
			return errors.Join(rocket.TryReceive(ctx), join(ctx))
		}},
		&part{name: "group", try: lasting(joinWithin, func(ctx context.Context) error { return rocket.isOurs(ctx, shop, joined.Client()) })})
	if cfg.Consumer.Events {
		parts = append(parts, &part{name: "events", try: rocket.eventAdmin.TrySend})
	}
	return newRehearsals(reg, log, consumerParts, parts...)
}

// hasConsumers is an error while nothing is delivered to anybody.
func (q *rocketQueue) hasConsumers(ctx context.Context) error {
	g, err := q.Group(ctx)
	if err == nil && len(g.Members) == 0 {
		return fmt.Errorf("no consumer is connected to group %s: nothing is delivered", q.opts.Group)
	}
	return err
}

// isOurs is an error while others take part in the group. It is none while that is not
// known: then another part fails. self is this process' member: while it is not listed,
// Redis takes no heartbeats, and the list says nothing.
func (q *rocketQueue) isOurs(ctx context.Context, shop *fleet.Fleet, self string) error {
	running, err := shop.Instances(ctx)
	if err != nil || !slices.ContainsFunc(running, func(i fleet.Instance) bool { return i.QueueClient == self }) {
		return nil //nolint:nilerr // see above
	}
	g, err := q.Group(ctx)
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	if foreign := checkup.Foreign(g, running); foreign != "" {
		return errors.New(foreign)
	}
	return nil
}
