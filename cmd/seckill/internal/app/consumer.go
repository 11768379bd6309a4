package app

import (
	"context"
	"errors"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"seckill/audit"
	"seckill/consumer"
	"seckill/internal/breaker"
	"seckill/internal/config"
	"seckill/internal/loop"
	"seckill/reconcile"
	"seckill/stock"
)

// ConsumerRole is the process that settles orders: the pool, what feeds it, and
// what reconciles.
type ConsumerRole struct {
	log  *slog.Logger
	pool *consumer.Pool
	// mostWorkers is what the connections to MySQL allow the pool, whatever
	// limits operators set.
	mostWorkers int
	subscriber  subscriber
	redis       *redisGuard
	eviction    *eviction
	rehearsed   *rehearsals
	loader      *reconcile.Loader
	tail        *reconcile.Tail
	sweeper     *reconcile.Sweeper
	auditor     *audit.Background
	expirer     *reconcile.Expirer
	extender    *reconcile.Extender
	janitor     *reconcile.Janitor
	payments    refunds
	events      *events // nil when none are sent
}

func newConsumerRole(cfg config.Config, b *backend, reg prometheus.Registerer, log *slog.Logger) (*ConsumerRole, error) {
	ledger := stock.New(b.redis)
	c := &ConsumerRole{log: log, payments: b.store, mostWorkers: cfg.MySQL.MostWorkers(), eviction: newEviction(b.redis, reg, log)}
	c.redis = newRedisGuard(b.redis, newWatch(reg), breaker.Options{Log: log})
	sales := partialLedger{ledger, c.redis}
	c.pool = consumer.NewPool(consumer.Options{
		Orders: b.store, Ledger: guardedLedger{ledger, c.redis},
		Workers: cfg.Consumer.Workers, Batch: cfg.Consumer.Batch, Linger: cfg.Consumer.Linger, Rate: cfg.Consumer.DrainRate,
		Tracer: b.tracer, Topic: cfg.RocketMQ.Topic, Metrics: reg, Log: log,
	})
	signer, err := newSigner(cfg)
	if err != nil {
		return nil, err
	}
	receiver := consumer.NewReceiver(c.pool, consumer.ReceiverOptions{
		Signer: signer, DeadLetters: b.store, UnsignedUntil: cfg.Messages.UnsignedUntil, NewerWait: cfg.Messages.NewerWait,
		Metrics: reg, Log: log,
	})
	if c.subscriber, err = b.queue.subscriber(subscriberOptions{receiver.Handle, cfg.Consumer.DrainTimeout, b.tracer != nil}); err != nil {
		return nil, badSetting("SECKILL_ROCKETMQ_*", err)
	}
	c.loader = reconcile.NewLoader(b.store, b.store, sales, b.queue, log)
	c.tail = reconcile.NewTail(b.store, sales)
	c.sweeper = reconcile.NewSweeper(b.store, sales, c.pool, log)
	c.auditor = audit.NewBackground(b.store, sales, audit.Grace, reg, log)
	c.expirer = reconcile.NewExpirer(b.store, sales, expiredCounter(reg), log)
	c.extender = reconcile.NewExtender(b.store, log)
	c.janitor = reconcile.NewJanitor(b.store, sales, b.queue, log)
	if cfg.Consumer.Events {
		c.events, err = newRelay(cfg, b, reg, log)
	}
	c.rehearsed = rehearseConsumer(cfg, b, c.subscriber, reg, log)
	return c, err
}

// ready: it takes work from a queue, not traffic; a process that is up is ready.
func (c *ConsumerRole) ready() error { return nil }

func (c *ConsumerRole) degraded() error { return c.rehearsed.fault() }

func (c *ConsumerRole) details() []string {
	var lines []string
	for _, b := range c.redis.breakers() {
		lines = append(lines, b.Name()+": "+state(b.Ready()))
	}
	return append(append(lines, c.rehearsed.lines()...), c.eviction.line())
}

// adoptPayments fills in what the version before did not record of payments.
func (c *ConsumerRole) adoptPayments(ctx context.Context) error {
	for {
		if n, err := c.payments.AdoptPayments(ctx); n == 0 || err != nil {
			return err
		}
	}
}

// run works until ctx is done. Then everything that feeds the pool stops and drains
// first, then the pool, so that delivered messages are settled and acknowledged.
func (c *ConsumerRole) run(ctx context.Context) error {
	poolCtx, stopPool := context.WithCancel(context.WithoutCancel(ctx))
	defer stopPool()
	pool := make(chan error, 1)
	go func() { pool <- c.pool.Run(poolCtx) }()

	g, feed := errgroup.WithContext(ctx)
	g.Go(func() error { return c.subscriber.Run(feed) })
	g.Go(func() error { return c.redis.run(feed) })
	g.Go(func() error { return c.eviction.run(feed) })
	g.Go(func() error { return c.rehearsed.run(feed) })
	g.Go(func() error { return c.loader.Run(feed) })
	g.Go(func() error { return c.auditor.Run(feed) })
	g.Go(func() error { return loop.EverySecond(feed, c.log, "tail", c.tail.Step) })
	g.Go(func() error { return c.sweeper.Run(feed) })
	g.Go(func() error { return loop.EverySecond(feed, c.log, "expire", c.expirer.Step) })
	g.Go(func() error { return loop.EverySecond(feed, c.log, "extend pay", c.extender.Step) })
	g.Go(func() error { return loop.EverySecond(feed, c.log, "end and close", c.janitor.Step) })
	g.Go(func() error { return loop.EverySecond(feed, c.log, "adopt payments", c.adoptPayments) })
	if c.events != nil {
		g.Go(func() error { return c.events.run(feed) })
	}
	c.log.InfoContext(ctx, "consumer up")
	err := ignoreCanceled(g.Wait())
	stopPool()
	return errors.Join(err, <-pool)
}
