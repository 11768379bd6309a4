package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"seckill/api"
	"seckill/catalog"
	"seckill/fleet"
	"seckill/internal/breaker"
	"seckill/internal/config"
	"seckill/order"
	"seckill/order/lookup"
	"seckill/payment"
	"seckill/reconcile"
	"seckill/stock"
)

func newAPI(p *process) *cobra.Command {
	var listen, adminListen string
	c := &cobra.Command{
		Use:   "api",
		Short: "Serve shoppers: reserve in Redis, put the order in the queue, answer 202",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := p.settings(append(servers, "id_keys")...)
			if err != nil {
				return err
			}
			if len(cfg.Auth.JWTSecrets)+len(cfg.Auth.JWTPublicKeys) == 0 {
				return &usageError{errors.New("set SECKILL_JWT_SECRETS or SECKILL_JWT_PUBLIC_KEYS: without a key no shopper can prove who they are")}
			}
			override(&cfg.Listen, listen)
			override(&cfg.AdminListen, adminListen)
			log := p.logger(cfg)
			b, err := openTraced(c.Context(), cfg, "seckill-api", log)
			if err != nil {
				return err
			}
			defer b.close()
			reg := newRegistry(cfg, b)
			front, err := newFront(cfg, b, reg, log)
			if err != nil {
				return err
			}
			operators, err := newAdminAPI(cfg, b, log)
			if err != nil {
				return err
			}
			adminAt, err := listenAdmin(c.Context(), cfg.AdminListen)
			if err != nil {
				return err
			}
			admin := adminHandler(cfg.AdminListen, reg, health{front.ready, front.details}, operators)
			return serve(c.Context(), log, func(ctx context.Context) error { return front.run(ctx, cfg.Listen, nil) },
				func(ctx context.Context) error { return serveAdmin(ctx, adminAt, admin, log) },
				newMember(cfg, b, fleet.RoleAPI, front, adminAt.Addr(), reg, log).Run)
		},
	}
	c.Flags().StringVar(&listen, "listen", "", "address for shoppers (SECKILL_LISTEN)")
	c.Flags().StringVar(&adminListen, "admin-listen", "", "address for operators, health checks and metrics (SECKILL_ADMIN_LISTEN)")
	return c
}

func override(setting *string, flag string) {
	if flag != "" {
		*setting = flag
	}
}

// serve runs the parts of a role until ctx is done or one of them fails. The
// first one is the role itself; the others end after it.
func serve(ctx context.Context, log *slog.Logger, role func(context.Context) error, others ...func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rest, stopRest := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRest()
	var g errgroup.Group
	for _, other := range others {
		g.Go(func() error { defer cancel(); return other(rest) })
	}
	err := role(ctx)
	stopRest()
	err = errors.Join(err, g.Wait())
	log.InfoContext(ctx, "stopped")
	return err
}

// front is the API role: all that stands between a shopper and the queue.
type front struct {
	cfg       config.Config
	log       *slog.Logger
	ids       *workerIDs
	catalog   *catalog.Catalog
	collector *stock.Collector
	lookup    *lookup.Reader
	publisher publisher
	backlog   *backlog
	breakers  []*breaker.Breaker
	eviction  *eviction
	server    *api.Server
	started   time.Time
	addr      atomic.Pointer[net.Addr] // where it serves shoppers
	reached   atomic.Bool              // RocketMQ has answered once
	stopping  atomic.Bool
}

func newFront(cfg config.Config, b *backend, reg prometheus.Registerer, log *slog.Logger) (*front, error) {
	sealer, err := order.NewSealer(cfg.Auth.IDKeys...)
	if err != nil {
		return nil, &usageError{fmt.Errorf("SECKILL_ID_KEYS: %w", err)}
	}
	tokens, err := newVerifier(cfg.Auth)
	if err != nil {
		return nil, &usageError{err}
	}
	permits, err := api.NewPermits(cfg.Auth.IDKeys, cfg.API.PermitValid)
	if err != nil {
		return nil, &usageError{fmt.Errorf("SECKILL_ID_KEYS: %w", err)}
	}
	ledger := stock.New(b.redis)
	f := &front{cfg: cfg, log: log, started: time.Now(), eviction: newEviction(b.redis, reg, log), ids: newWorkerIDs(b.orders, log), backlog: newBacklog(b.queue, cfg.API.BacklogLimit, log)}
	watched := watched(reg)
	redisBreaker := breaker.New(watched("redis", breaker.Options{Probe: ledger.Ping, Failed: redisFault, Ignored: redisBusy, Log: log}))
	mysqlBreaker := breaker.New(watched("mysql", breaker.Options{Probe: b.orders.Ping, Failed: mysqlFault, Log: log}))
	queueBreaker := breaker.New(watched("rocketmq", breaker.Options{Probe: func(ctx context.Context) error { return f.publisher.Probe(ctx) }, Log: log}))
	f.breakers = []*breaker.Breaker{redisBreaker, mysqlBreaker, queueBreaker}
	if f.publisher, err = b.queue.publisher(publisherOptions{guard: queueBreaker.Do, observe: f.backlog.counting(publishMetrics(reg)), tracer: b.tracer}); err != nil {
		return nil, &usageError{fmt.Errorf("SECKILL_ROCKETMQ_*: %w", err)}
	}
	registerBacklog(reg, f.backlog)
	f.catalog = catalog.New(b.orders.Sales, ledger, log)
	reg.MustRegister(newSaleMetrics(f.catalog.List))
	f.collector = stock.NewCollector(ledger, stock.CollectorOptions{Guard: redisBreaker.Do, SoldOut: f.catalog.MarkSoldOut, Observe: reserveMetrics(reg), Tracer: b.tracer})
	f.lookup = lookup.New(func(ctx context.Context, ids []order.ID) (rs []order.Record, err error) {
		err = mysqlBreaker.Do(func() error { rs, err = b.orders.Find(ctx, ids); return err })
		return rs, err
	})
	challenge, err := newChallenge(cfg.API, watched, log)
	if err != nil {
		return nil, err
	}
	opts := api.Options{
		Catalog: f.catalog, Reserver: f.collector, Publisher: f.publisher,
		Stock: guardedLedger{ledger, redisBreaker.Do}, Results: ledger, Lookup: f.lookup,
		Orders:   guardedOrders{b.orders, mysqlBreaker.Do},
		Resolver: reconcile.NewResolver(guardedOrders{b.orders, mysqlBreaker.Do}, ledger, b.queue),
		Till:     payment.New(b.orders, ledger, mysqlBreaker.Do, log), PaymentSecrets: cfg.API.PaymentSecrets,
		IDs: f.ids, Sealer: sealer, Tokens: tokens, Permits: permits,
		Gate: f.gate(redisBreaker, queueBreaker), Quiet: f.backlog.few,
		Metrics: api.NewMetrics(reg), Tracer: b.tracer, Log: log,
		Limits: limits(cfg.API, 1), CORSOrigins: cfg.API.CORSOrigins, TrustedProxies: proxies(cfg.API),
	}
	if challenge != nil {
		opts.Challenge = challenge
	}
	f.server = api.New(opts)
	return f, nil
}

// redisFault: sold out and its like are answers, not faults.
func redisFault(err error) bool { return !errors.Is(err, stock.ErrNotLoaded) }

// redisBusy: that all connections of this process are in use says nothing of
// Redis. Each of them has a time-out that does; a flood of polls must not make
// it look away.
func redisBusy(err error) bool { return errors.Is(err, redis.ErrPoolTimeout) }

// mysqlFault: that there is no such sale, or that it does not allow a thing, is
// an answer.
func mysqlFault(err error) bool {
	return !errors.Is(err, order.ErrNotFound) && !errors.Is(err, order.ErrConflict)
}

// gate refuses a purchase, before anything is deducted, while what it needs is
// away. MySQL is not among it: the queue holds the orders meanwhile.
func (f *front) gate(needed ...*breaker.Breaker) func() error {
	return func() error {
		if !f.reached.Load() {
			return errNotReached
		}
		for _, b := range needed {
			if err := b.Ready(); err != nil {
				return err
			}
		}
		if f.backlog.over() {
			return api.ErrBacklog
		}
		return nil
	}
}

// ready reports what the process still waits for; nil when it can sell.
func (f *front) ready() error {
	if f.stopping.Load() {
		return errors.New("stopping")
	}
	if !f.catalog.Ready() {
		return errors.New("the sales have not been read yet")
	}
	if !f.reached.Load() && time.Since(f.started) < reachWithin {
		return errNotReached
	}
	return f.ids.ready()
}

const (
	// reachWithin is how long a process that starts waits for RocketMQ before
	// it takes traffic all the same: it can answer polls, and refuse politely.
	reachWithin = 5 * time.Second
	reachEvery  = 50 * time.Millisecond
)

var errNotReached = errors.New("RocketMQ has not answered yet")

// reach waits for RocketMQ's first answer. Until then nothing is deducted: the
// orders of a process that has just started would be left to the sweeper, and
// its breaker would open.
func (f *front) reach(ctx context.Context) error {
	for f.publisher.Probe(ctx) != nil {
		select {
		case <-time.After(reachEvery):
		case <-ctx.Done():
			return nil
		}
	}
	f.reached.Store(true)
	return nil
}

// details says how each thing that selling needs is. A server that is away
// makes the process refuse, but not unready: another process would refuse too.
func (f *front) details() []string {
	lines := []string{"sales: read"}
	if !f.catalog.Ready() {
		lines[0] = "sales: not read yet"
	}
	lines = append(lines, "worker number: "+state(f.ids.ready()))
	for _, b := range f.breakers {
		lines = append(lines, b.Name()+": "+state(b.Ready()))
	}
	return append(lines, f.eviction.line(), fmt.Sprintf("backlog: %d of %d", f.backlog.lag.Load(), f.backlog.limit.Load()))
}

func state(err error) string {
	if err != nil {
		return err.Error()
	}
	return "ok"
}

// run serves shoppers on listen until ctx is done, then stops in an order in
// which nothing accepted is left unsent. up is told the address; it may be nil.
func (f *front) run(ctx context.Context, listen string, up func(net.Addr)) error {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("listen for shoppers: %w", err)
	}
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	g, background := f.work(background)
	srv := api.NewHTTPServer(f.server.Handler(), f.log)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	f.addr.Store(new(ln.Addr()))
	f.log.InfoContext(ctx, "api up", "addr", ln.Addr().String())
	if up != nil {
		up(ln.Addr())
	}

	select {
	case <-ctx.Done():
		err = nil
	case err = <-served:
	case <-background.Done(): // a background part failed: Wait has its error
	}
	return errors.Join(err, f.stop(context.WithoutCancel(ctx), srv, stopBackground, g))
}

// work does all that stands beside serving, until ctx is done.
func (f *front) work(ctx context.Context) (*errgroup.Group, context.Context) {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return f.reach(ctx) })
	g.Go(func() error { return f.catalog.Run(ctx) })
	g.Go(func() error { return f.ids.run(ctx) })
	g.Go(func() error { return f.backlog.run(ctx) })
	g.Go(func() error { return f.eviction.run(ctx) })
	g.Go(func() error { return f.server.Run(ctx) })
	for _, b := range f.breakers {
		g.Go(func() error { return b.Run(ctx) })
	}
	return g, ctx
}

func (f *front) stop(ctx context.Context, srv *http.Server, stopBackground func(), g *errgroup.Group) error {
	ctx, cancel := context.WithTimeout(ctx, f.cfg.API.StopDelay+f.cfg.API.DrainTimeout)
	defer cancel()
	f.stopping.Store(true) // 1. load balancers look away, held polls are let go
	f.server.SetReady(false)
	if f.cfg.API.StopDelay > 0 {
		select {
		case <-time.After(f.cfg.API.StopDelay):
		case <-ctx.Done():
		}
	}
	err := srv.Shutdown(ctx)                       // 2. requests under way get their answers
	f.collector.Close()                            // 3. nothing is reserved any more
	err = errors.Join(err, f.publisher.Close(ctx)) // 4. what was reserved is sent
	stopBackground()                               // 5. and the rest
	err = errors.Join(err, ignoreCanceled(g.Wait()))
	f.lookup.Close()
	return err
}

func ignoreCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
