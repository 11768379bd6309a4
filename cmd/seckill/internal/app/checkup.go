package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"seckill/admin"
	"seckill/cmd/seckill/internal/checkup"
	"seckill/fleet"
	"seckill/internal/config"
	"seckill/internal/loop"
	"seckill/order"
	"seckill/queue/rocketmq"
)

// Checkup examines the servers and the processes.
type Checkup struct {
	cfg            config.Config
	backend        *backend
	service        *admin.Service
	line           func(fleet.Instance) string
	orders, events *rocketmq.Admin
}

// WithCheckup calls fn with a Checkup of the servers in cfg; line describes an
// instance for people.
func WithCheckup(cfg config.Config, log *slog.Logger, line func(fleet.Instance) string, fn func(*Checkup) error) error {
	b, err := openBackend(cfg, log)
	if err != nil {
		return err
	}
	defer b.close()
	c := &Checkup{cfg: cfg, backend: b, service: newService(cfg, b, log), line: line}
	orders, events, err := rocketOptions(cfg.RocketMQ, log)
	if err != nil {
		return err
	}
	for _, a := range []struct {
		admin **rocketmq.Admin
		opts  rocketmq.Options
	}{{&c.orders, orders}, {&c.events, events}} {
		if *a.admin, err = rocketmq.NewAdmin(a.opts); err != nil {
			return badSetting("SECKILL_ROCKETMQ_*", err)
		}
		defer (*a.admin).Close()
	}
	return fn(c)
}

// Doctor examines the servers and the processes that live.
func (c *Checkup) Doctor(ctx context.Context) []checkup.Finding {
	found, f := c.servers(ctx), c.fleet(ctx)
	return slices.Concat(found, f.Check(), c.shared(ctx, f, found))
}

// shared examines what the processes share with each other.
func (c *Checkup) shared(ctx context.Context, f checkup.Fleet, servers []checkup.Finding) []checkup.Finding {
	if f.InstancesErr != nil { // who they are is not known
		return nil
	}
	is := f.Instances
	if len(is) == 0 { // those to come: an API and a consumer
		is = []fleet.Instance{{MaxMySQLConns: c.cfg.MySQL.MaxConns}, {MaxMySQLConns: c.cfg.MySQL.MaxConns}}
	}
	found := []checkup.Finding{checkup.MySQLPools(ctx, c.backend.db, is)}
	// A Redis that refuses heartbeats loses the instances: then members of the group
	// are strangers all.
	if !slices.ContainsFunc(servers, func(f checkup.Finding) bool { return f.Name == checkup.RedisOrders && !f.OK }) {
		found = append(found, checkup.Group(ctx, c.orders, f.Instances))
	}
	return found
}

// servers examines all servers at once: for each one that is down that takes as
// long as its timeout.
func (c *Checkup) servers(ctx context.Context) []checkup.Finding {
	events := c.events
	if !c.cfg.Consumer.Events {
		events = nil
	}
	var found [3][]checkup.Finding
	var all sync.WaitGroup
	all.Go(func() { found[0] = checkup.MySQL(ctx, c.backend.db) })
	all.Go(func() { found[1] = checkup.Redis(ctx, c.backend.redis) })
	all.Go(func() { found[2] = checkup.RocketMQ(ctx, c.orders, events) })
	all.Wait()
	return slices.Concat(found[:]...)
}

// spreadTimeout is how long a change may take to reach every process: it reads
// the sales once a second and announces itself once a second.
const spreadTimeout = 3 * time.Second

// fleet returns the processes that live. While one does not know the newest
// change, it reads them again, for up to spreadTimeout.
func (c *Checkup) fleet(ctx context.Context) checkup.Fleet {
	for deadline := time.Now().Add(spreadTimeout); ; {
		f := c.readFleet(ctx)
		if !f.Stale() || time.Now().After(deadline) || loop.Pause(ctx, 500*time.Millisecond) != nil {
			return f
		}
	}
}

// readFleet reads each part on its own, so that a part that cannot be read hides
// no other.
func (c *Checkup) readFleet(ctx context.Context) checkup.Fleet {
	f := checkup.Fleet{Line: c.line}
	l, err := c.service.LimitsInForce(ctx)
	if err != nil {
		f.LimitsErr = err
		l.Instances, l.Away = c.service.Instances(ctx)
	}
	f.Instances, f.InstancesErr, f.Generation = l.Instances, l.Away, l.Limits.Generation
	// Without the limits in MySQL these are the ones configured here.
	if held, err := c.service.ViewLimits(l.Limits).Limits["held_polls"].Value.Int64(); err == nil {
		f.HeldPolls = uint64(max(0, held))
	}
	f.Loaded, f.Fingerprint, f.SalesErr = c.service.Fingerprint(ctx)
	return f
}

// SaleID is admin.Service's.
func (c *Checkup) SaleID(ctx context.Context, n order.SaleName) (int64, error) {
	return c.service.SaleID(ctx, n)
}

// Preflight examines everything that a sale needs; what it cannot read is a
// finding too. The error is order.ErrNotFound: there is no such sale.
func (c *Checkup) Preflight(ctx context.Context, id int64) ([]checkup.Finding, error) {
	s, err := c.service.Sale(ctx, id)
	if errors.Is(err, order.ErrNotFound) {
		return nil, err
	}
	var found []checkup.Finding
	if err != nil {
		found = append(found, checkup.Unread("sale", err))
	} else {
		found = c.sale(ctx, s)
	}
	servers, f := c.servers(ctx), c.fleet(ctx)
	found = slices.Concat(found, servers, f.Check(), f.Roles(), c.shared(ctx, f, servers))
	if f.InstancesErr == nil { // otherwise their number is not known
		found = append(found,
			checkup.RedisPools(ctx, c.backend.redis, f.Instances),
			checkup.Queues(ctx, c.orders, f.Consumers()))
	}
	return found, nil
}

// sale examines a sale in both stores, and the memory for its orders.
func (c *Checkup) sale(ctx context.Context, s admin.SaleStatus) []checkup.Finding {
	now, left := time.Now(), int64(s.Sale.Available)
	if s.Meta.Err == nil {
		now = s.Meta.Now // Redis decides whether the window is open
	}
	if s.Meta.Loaded {
		left = s.Meta.Available
	}
	return append(checkup.Sale(s.Sale, s.Meta, now), checkup.Headroom(ctx, c.backend.redis, max(0, left)))
}
