package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"seckill/audit"
	"seckill/consumer"
	"seckill/fleet"
	"seckill/internal/breaker"
	"seckill/internal/config"
	"seckill/internal/loop"
	"seckill/reconcile"
	"seckill/stock"
)

func newConsumer(p *process) *cobra.Command {
	var adminListen string
	c := &cobra.Command{
		Use:   "consumer",
		Short: "Settle orders: a fixed pool takes them from the queue and writes them to MySQL",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := p.settings(servers...)
			if err != nil {
				return err
			}
			if err := cfg.CheckConsumer(); err != nil {
				return &usageError{err}
			}
			override(&cfg.AdminListen, adminListen)
			log := p.logger(cfg)
			b, err := openTraced(c.Context(), cfg, "seckill-consumer", log)
			if err != nil {
				return err
			}
			defer b.close()
			reg := newRegistry(cfg, b)
			back, err := newBack(cfg, b, reg, log)
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
			// It takes work from a queue, no traffic: being up is being ready.
			admin := adminHandler(cfg.AdminListen, reg, health{
				ready:   func() error { return nil },
				details: func() []string { return []string{"redis: " + state(back.redis.Ready()), back.eviction.line()} },
			}, operators)
			return serve(c.Context(), log, back.run,
				func(ctx context.Context) error { return serveAdmin(ctx, adminAt, admin, log) },
				newMember(cfg, b, fleet.RoleConsumer, back, adminAt.Addr(), reg, log).Run)
		},
	}
	c.Flags().StringVar(&adminListen, "admin-listen", "", "address for operators, health checks and metrics (SECKILL_ADMIN_LISTEN)")
	return c
}

// back is the consumer role: the pool, what feeds it, and what reconciles.
type back struct {
	log  *slog.Logger
	pool *consumer.Pool
	// mostWorkers is what the connections to MySQL allow the pool, whatever
	// limits operators set.
	mostWorkers int
	subscriber  subscriber
	redis       *breaker.Breaker
	eviction    *eviction
	loader      *reconcile.Loader
	tail        *reconcile.Tail
	sweeper     *reconcile.Sweeper
	patrol      *audit.Background
	expirer     *reconcile.Expirer
	extender    *reconcile.Extender
	janitor     *reconcile.Janitor
	events      *events // nil when none are sent
}

func newBack(cfg config.Config, b *backend, reg prometheus.Registerer, log *slog.Logger) (*back, error) {
	ledger := stock.New(b.redis)
	k := &back{log: log, mostWorkers: cfg.MySQL.MostWorkers(), eviction: newEviction(b.redis, reg, log)}
	k.redis = breaker.New(watched(reg)("redis", breaker.Options{Probe: ledger.Ping, Failed: redisFault, Ignored: redisBusy, Log: log}))
	k.pool = consumer.NewPool(consumer.Options{
		Orders: b.orders, Ledger: ledger, Guard: k.redis.Do,
		Workers: cfg.Consumer.Workers, Batch: cfg.Consumer.Batch, Linger: cfg.Consumer.Linger, Rate: cfg.Consumer.DrainRate,
		Tracer: b.tracer, Topic: cfg.RocketMQ.Topic, Metrics: reg, Log: log,
	})
	receiver := consumer.NewReceiver(k.pool, b.orders, log)
	var err error
	if k.subscriber, err = b.queue.subscriber(subscriberOptions{receiver.Handle, cfg.Consumer.DrainTimeout, b.tracer != nil}); err != nil {
		return nil, &usageError{fmt.Errorf("SECKILL_ROCKETMQ_*: %w", err)}
	}
	k.loader = reconcile.NewLoader(b.orders, b.orders, ledger, b.queue, log)
	k.tail = reconcile.NewTail(b.orders, ledger)
	k.sweeper = reconcile.NewSweeper(b.orders, ledger, k.pool, log)
	k.patrol = audit.NewBackground(b.orders, ledger, audit.Grace, reg, log)
	k.expirer = reconcile.NewExpirer(b.orders, ledger, expiredCounter(reg), log)
	k.extender = reconcile.NewExtender(b.orders, log)
	k.janitor = reconcile.NewJanitor(b.orders, ledger, b.queue, log)
	if cfg.Consumer.Events {
		k.events, err = newRelay(cfg, b, reg, log)
	}
	return k, err
}

// run works until ctx is done: first the feeding stops and drains, then the
// pool, so that what was delivered is settled and acknowledged.
func (k *back) run(ctx context.Context) error {
	poolCtx, stopPool := context.WithCancel(context.WithoutCancel(ctx))
	defer stopPool()
	pool := make(chan error, 1)
	go func() { pool <- k.pool.Run(poolCtx) }()

	g, feed := errgroup.WithContext(ctx)
	g.Go(func() error { return k.subscriber.Run(feed) })
	g.Go(func() error { return k.redis.Run(feed) })
	g.Go(func() error { return k.eviction.run(feed) })
	g.Go(func() error { return k.loader.Run(feed) })
	g.Go(func() error { return k.patrol.Run(feed) })
	g.Go(func() error { return loop.EverySecond(feed, k.log, "tail", k.tail.Step) })
	g.Go(func() error { return k.sweeper.Run(feed) })
	g.Go(func() error { return loop.EverySecond(feed, k.log, "expire", k.expirer.Step) })
	g.Go(func() error { return loop.EverySecond(feed, k.log, "extend pay", k.extender.Step) })
	g.Go(func() error { return loop.EverySecond(feed, k.log, "end and close", k.janitor.Step) })
	if k.events != nil {
		g.Go(func() error { return k.events.run(feed) })
	}
	k.log.InfoContext(ctx, "consumer up")
	err := ignoreCanceled(g.Wait())
	stopPool()
	return errors.Join(err, <-pool)
}
