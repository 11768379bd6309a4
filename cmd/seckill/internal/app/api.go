package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"seckill/api"
	"seckill/catalog"
	"seckill/internal/breaker"
	"seckill/internal/config"
	"seckill/internal/loop"
	"seckill/order"
	"seckill/order/lookup"
	"seckill/order/mysql"
	"seckill/payment"
	"seckill/reconcile"
	"seckill/stock"
)

// APIRole is the process that serves shoppers: everything between a shopper and
// the queue.
type APIRole struct {
	cfg       config.Config
	log       *slog.Logger
	ids       *idSource
	catalog   *catalog.Catalog
	collector *stock.Collector
	lookup    *lookup.Reader
	publisher publisher
	backlog   *backlog
	redis     *redisGuard
	mysql     *breaker.Breaker
	queue     *breaker.Breaker
	eviction  *eviction
	rehearsed *rehearsals
	server    *api.Server
	started   time.Time
	up        func(net.Addr)           // is called with the address when it serves; may be nil
	addr      atomic.Pointer[net.Addr] // where it serves shoppers
	reached   atomic.Bool              // RocketMQ has responded once
	stopping  atomic.Bool
}

func newAPIRole(cfg config.Config, b *backend, reg prometheus.Registerer, log *slog.Logger) (*APIRole, error) {
	a, opts, err := prepareAPIRole(cfg, b, reg, log)
	if err != nil {
		return nil, err
	}
	a.server = api.New(opts)
	return a, nil
}

// prepareAPIRole makes all of an API role but its server.
func prepareAPIRole(cfg config.Config, b *backend, reg prometheus.Registerer, log *slog.Logger) (*APIRole, api.Options, error) {
	sealer, err := order.NewSealer(cfg.Auth.IDKeys...)
	if err != nil {
		return nil, api.Options{}, badSetting("SECKILL_ID_KEYS", err)
	}
	tokens, err := newVerifier(cfg.Auth)
	if err != nil {
		return nil, api.Options{}, &SettingError{err}
	}
	permits, err := api.NewPermits(cfg.Auth.IDKeys, cfg.API.PermitValid)
	if err != nil {
		return nil, api.Options{}, badSetting("SECKILL_ID_KEYS", err)
	}
	ledger := stock.New(b.redis)
	a := &APIRole{cfg: cfg, log: log, started: time.Now(), eviction: newEviction(b.redis, reg, log), ids: newIDSource(b.store, log), backlog: newBacklog(b.queue, cfg.API.BacklogLimit, log)}
	watch := newWatch(reg)
	a.redis = newRedisGuard(b.redis, watch, breaker.Options{Log: log})
	a.mysql = breaker.New(watch.options("mysql", breaker.Options{Probe: b.store.Ping, Failed: mysqlFault, Log: log}))
	a.queue = breaker.New(watch.options("rocketmq", breaker.Options{Probe: func(ctx context.Context) error { return a.publisher.Probe(ctx) }, Log: log}))
	if err := a.openPublisher(b, publisherOptions{guard: a.queue.Do, observe: a.backlog.counting(publishMetrics(reg)), tracer: b.tracer}); err != nil {
		return nil, api.Options{}, err
	}
	a.rehearsed = rehearseAPI(cfg, b, reg, log)
	registerBacklog(reg, a.backlog)
	a.catalog = catalog.New(b.store.Sales, partialLedger{ledger, a.redis}, log)
	reg.MustRegister(newSaleMetrics(a.catalog.List))
	a.collector = stock.NewCollector(ledger, stock.CollectorOptions{Guard: a.redis.Do, SoldOut: a.catalog.MarkSoldOut, Observe: reserveMetrics(reg), Tracer: b.tracer})
	a.lookup = lookup.New(func(ctx context.Context, ids []order.ID) (rs []order.Record, err error) {
		err = a.mysql.Do(func() error { rs, err = b.store.Find(ctx, ids); return err })
		return rs, err
	})
	challenge, err := newChallenge(cfg.API, watch.options, log)
	if err != nil {
		return nil, api.Options{}, err
	}
	opts := api.Options{
		Catalog: a.catalog, Reserver: a.collector, Publisher: a.publisher,
		Stock: guardedLedger{ledger, a.redis}, Results: ledger, Lookup: a.lookup,
		Orders:   guardedStore{b.store, a.mysql.Do},
		Resolver: reconcile.NewResolver(guardedStore{b.store, a.mysql.Do}, ledger, b.queue),
		Payments: payment.New(b.store, ledger, a.mysql.Do, log), PaymentSecrets: cfg.API.PaymentSecrets,
		IDs: a.ids, Sealer: sealer, Tokens: tokens, Permits: permits,
		Gate: a.gate, Quiet: a.backlog.few,
		Metrics: api.NewMetrics(reg), Denials: api.NewDenials(reg, log), Tracer: b.tracer, Log: log,
		Limits: limits(cfg.API, 1), Pages: cfg.API.Pages, CORSOrigins: cfg.API.CORSOrigins, TrustedProxies: proxies(cfg.API),
	}
	if challenge != nil {
		opts.Challenge = challenge
	}
	return a, opts, nil
}

// openPublisher opens the publisher of the orders, which signs them.
func (a *APIRole) openPublisher(b *backend, o publisherOptions) (err error) {
	if o.signer, err = newSigner(a.cfg); err != nil {
		return err
	}
	if a.publisher, err = b.queue.publisher(o); err != nil {
		return badSetting("SECKILL_ROCKETMQ_*", err)
	}
	return nil
}

// mysqlFault reports whether an error is a fault of MySQL. That a sale does not
// exist, or does not allow something, or that a row is locked, is a normal response.
func mysqlFault(err error) bool {
	return !errors.Is(err, order.ErrNotFound) && !errors.Is(err, order.ErrConflict) && !mysql.AboutRows(err)
}

// gate refuses a purchase, before anything is deducted, while a server that it needs
// is down. It does not need MySQL: the queue holds the orders meanwhile.
func (a *APIRole) gate(ctx context.Context, saleID int64) error {
	if !a.reached.Load() {
		return errNotReached
	}
	if err := cmp.Or(a.redis.Ready(ctx, saleID), a.queue.Ready()); err != nil {
		return err
	}
	if a.backlog.over() {
		return api.ErrBacklog
	}
	return nil
}

// breakers returns those of all servers.
func (a *APIRole) breakers() []*breaker.Breaker { return append(a.redis.breakers(), a.mysql, a.queue) }

// ready reports what the process waits for; nil if it can sell.
func (a *APIRole) ready() error {
	if a.stopping.Load() {
		return errors.New("stopping")
	}
	if !a.catalog.Ready() {
		return errors.New("the sales have not been read yet")
	}
	if !a.reached.Load() && time.Since(a.started) < reachWithin {
		return errNotReached
	}
	if !a.rehearsed.tried() && time.Since(a.started) < judgeWithin {
		return cmp.Or(a.rehearsed.fault(), errNotTried)
	}
	if err := a.rehearsed.own(); err != nil {
		return fmt.Errorf("other APIs can sell, and this one cannot: %w", err)
	}
	return a.ids.ready()
}

// degraded reports why orders fail although the process is ready; nil if they do not.
// Others would fail, too: if all of them were taken out of service, shoppers would
// not even be told, or get the results of earlier orders.
func (a *APIRole) degraded() error { return a.rehearsed.fault() }

const (
	// reachWithin is how long a starting process waits for RocketMQ before it
	// accepts traffic without it: it can serve polls, and refuse purchases.
	reachWithin = 5 * time.Second
	reachEvery  = 50 * time.Millisecond
	// judgeWithin is how long a starting process that cannot sell waits before it
	// accepts traffic, to see whether others can: a rolling update must not replace
	// those by it.
	judgeWithin = localAfter + 2*rehearseEvery
)

var errNotTried = errors.New("it has not been tried yet whether an order could succeed")

var errNotReached = errors.New("RocketMQ has not responded yet")

// reach waits for the first response of RocketMQ. Until then nothing is deducted:
// otherwise the first orders would be left to the sweeper, and the breaker would
// open.
func (a *APIRole) reach(ctx context.Context) error {
	for a.publisher.Probe(ctx) != nil {
		if loop.Pause(ctx, reachEvery) != nil {
			return nil //nolint:nilerr // the end of ctx is no failure
		}
	}
	a.reached.Store(true)
	return nil
}

// details describes the state of everything that selling needs. While a server is
// down the process refuses purchases, but stays ready: others would refuse too.
func (a *APIRole) details() []string {
	lines := []string{"sales: read"}
	if !a.catalog.Ready() {
		lines[0] = "sales: not read yet"
	}
	lines = append(lines, "node ID: "+state(a.ids.ready()))
	for _, b := range a.breakers() {
		lines = append(lines, b.Name()+": "+state(b.Ready()))
	}
	lines = append(lines, a.rehearsed.lines()...)
	return append(lines, a.eviction.line(), fmt.Sprintf("backlog: %d of %d", a.backlog.lag.Load(), a.backlog.limit.Load()))
}

func state(err error) string {
	if err != nil {
		return err.Error()
	}
	return "ok"
}

// run serves shoppers until ctx is done, then stops in an order in which nothing
// accepted is left unsent.
func (a *APIRole) run(ctx context.Context) error {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a.cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen for shoppers: %w", err)
	}
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	g, background := a.work(background)
	srv := api.NewHTTPServer(a.server.Handler(), a.log)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	a.addr.Store(new(ln.Addr()))
	a.log.InfoContext(ctx, "api up", "addr", ln.Addr().String())
	if a.up != nil {
		a.up(ln.Addr())
	}

	select {
	case <-ctx.Done():
		err = nil
	case err = <-served:
	case <-background.Done(): // a background part failed: Wait has its error
	}
	return errors.Join(err, a.stop(context.WithoutCancel(ctx), srv, stopBackground, g))
}

// work runs everything besides serving, until ctx is done.
func (a *APIRole) work(ctx context.Context) (*errgroup.Group, context.Context) {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.reach(ctx) })
	g.Go(func() error { return a.catalog.Run(ctx) })
	g.Go(func() error { return a.ids.run(ctx) })
	g.Go(func() error { return a.backlog.run(ctx) })
	g.Go(func() error { return a.eviction.run(ctx) })
	g.Go(func() error { return a.rehearsed.run(ctx) })
	g.Go(func() error { return a.server.Run(ctx) })
	g.Go(func() error { return a.redis.run(ctx) })
	g.Go(func() error { return a.mysql.Run(ctx) })
	g.Go(func() error { return a.queue.Run(ctx) })
	return g, ctx
}

func (a *APIRole) stop(ctx context.Context, srv *http.Server, stopBackground func(), g *errgroup.Group) error {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.API.StopDelay+a.cfg.API.DrainTimeout)
	defer cancel()
	a.stopping.Store(true) // 1. load balancers stop sending, held polls return
	a.server.SetReady(false)
	_ = loop.Pause(ctx, a.cfg.API.StopDelay)
	err := srv.Shutdown(ctx)                       // 2. requests in flight get their responses
	a.collector.Close()                            // 3. nothing more is reserved
	err = errors.Join(err, a.publisher.Close(ctx)) // 4. what was reserved is sent
	stopBackground()                               // 5. and the rest
	err = errors.Join(err, ignoreCanceled(g.Wait()))
	a.lookup.Close()
	return err
}
