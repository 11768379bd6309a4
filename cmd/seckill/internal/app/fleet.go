package app

import (
	"log/slog"
	"net"
	"os"
	"strconv"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"seckill/fleet"
	"seckill/internal/breaker"
	"seckill/internal/config"
	"seckill/order"
)

// newFleet returns the processes of this shop: those with the same topic.
func newFleet(cfg config.Config, rdb redis.UniversalClient) *fleet.Fleet {
	return fleet.New(rdb, cfg.RocketMQ.Namespace+"/"+cfg.RocketMQ.Topic)
}

// limited is a role as a member of the fleet.
type limited interface {
	// describe updates self and returns the counters of the role.
	describe(self *fleet.Instance) fleet.Totals
	// apply applies the limits in cfg; apis is the number of running APIs.
	apply(cfg config.Config, apis int)
}

// newMember returns this process as a member of the fleet. Limits that operators set
// override those in cfg.
func newMember(cfg config.Config, b *backend, name string, r limited, adminAt net.Addr, reg prometheus.Registerer, log *slog.Logger) *fleet.Member {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fleet.NewMember(fleet.Options{
		Fleet: newFleet(cfg, b.redis), Limits: b.operators.Limits, Metrics: reg, Log: log,
		Self: fleet.Instance{
			Role: name, Version: version, Host: host, PID: os.Getpid(), AdminListen: reachable(adminAt, host),
			MaxFiles: maxFiles(), MaxRedisConns: cfg.Redis.PoolSize,
		},
		Look: func(self *fleet.Instance) fleet.Totals {
			t := r.describe(self)
			t.RedisConns = int(b.redis.PoolStats().TotalConns)
			if b.db != nil {
				pool := b.db.Stats()
				self.MaxMySQLConns, t.MySQLConns = pool.MaxOpenConnections, pool.OpenConnections
			}
			return t
		},
		Apply: func(l order.Limits, apis int) error {
			now, err := cfg.With(l.Values) // a newer version may have set limits that this one does not know
			r.apply(now, apis)
			return err
		},
	})
}

// maxFiles returns how many files and connections this process may have open; 0 if
// it is not known.
func maxFiles() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return limit.Cur
}

// reachable returns an address that other hosts can reach: with the host's name if
// the process listens on all addresses.
func reachable(a net.Addr, host string) string {
	if tcp, ok := a.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return net.JoinHostPort(host, strconv.Itoa(tcp.Port))
	}
	return a.String()
}

func (a *APIRole) describe(self *fleet.Instance) fleet.Totals {
	if at := a.addr.Load(); at != nil {
		self.Listen = reachable(*at, self.Host)
	}
	if m := a.ids.maker.Load(); m != nil {
		self.Worker = m.NodeID()
	}
	self.SalesLoaded, self.SalesFingerprint = a.catalog.Fingerprint()
	self.BreakersOpen, self.Fault = openBreakers(a.breakers()...), fleet.Brief(a.rehearsed.fault())
	l := a.server.Load()
	return fleet.Totals{
		Inflight: int64(l.Inflight), HeldPolls: int64(l.HeldPolls), Backlog: a.backlog.waiting(),
		Accepted: l.Accepted, Refused: l.Refused,
	}
}

func (a *APIRole) apply(cfg config.Config, apis int) {
	a.server.SetLimits(limits(cfg.API, apis))
	a.backlog.limit.Store(cfg.API.BacklogLimit)
}

// openBreakers returns the names of the breakers that are not closed.
func openBreakers(all ...*breaker.Breaker) (names []string) {
	for _, b := range all {
		if b.Ready() != nil {
			names = append(names, b.Name())
		}
	}
	return names
}

func (c *ConsumerRole) describe(self *fleet.Instance) fleet.Totals {
	self.BreakersOpen, self.Fault = openBreakers(c.redis.breakers()...), fleet.Brief(c.rehearsed.fault())
	if s, ok := c.subscriber.(interface{ Client() string }); ok {
		self.QueueClient = s.Client()
	}
	l := c.pool.Load()
	return fleet.Totals{Workers: l.Workers, Settled: l.Settled, ToResult: l.ToResult}
}

func (c *ConsumerRole) apply(cfg config.Config, _ int) {
	c.pool.SetRate(cfg.Consumer.DrainRate)
	workers := min(cfg.Consumer.Workers, c.mostWorkers)
	if workers < cfg.Consumer.Workers {
		c.log.Warn("SECKILL_MYSQL_MAX_CONNS allows fewer workers than the limit", "consumer_workers", cfg.Consumer.Workers, "workers", workers)
	}
	c.pool.SetWorkers(workers)
}
