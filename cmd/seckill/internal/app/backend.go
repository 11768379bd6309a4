package app

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"seckill/internal/config"
	"seckill/internal/otlp"
	"seckill/internal/telemetry"
	"seckill/order"
	"seckill/order/mysql"
	"seckill/queue"
	"seckill/queue/rocketmq"
	"seckill/stock"
)

// backend is the servers that the roles use: the real ones, or those embedded in dev.
type backend struct {
	redis     redis.UniversalClient
	store     store
	operators operatorStore // the same store; nil in simulations
	queue     orderQueue
	db        *sql.DB           // nil where orders are in memory
	tracer    *telemetry.Tracer // nil: nothing is traced
	close     func()
}

// orderQueue is RocketMQ, or the queue in memory.
type orderQueue interface {
	offsets
	topics
	lagger
}

type offsets interface {
	MaxOffsets(ctx context.Context) (queue.Offsets, error)
	Committed(ctx context.Context) (queue.Offsets, error)
}

// topics opens the topics of orders and of order events.
type topics interface {
	publisher(o publisherOptions) (publisher, error)
	subscriber(o subscriberOptions) (subscriber, error)
	events() (eventTopic, error)
}

type publisher interface {
	Publish(ctx context.Context, o order.Order) error
	Probe(ctx context.Context) error
	Close(ctx context.Context) error
}

// subscriber delivers messages until ctx is done, then drains.
type subscriber interface {
	Run(ctx context.Context) error
}

type eventTopic interface {
	Publish(ctx context.Context, ms []queue.EventMessage) error
	Close(ctx context.Context) error
}

type publisherOptions struct {
	signer  *order.Signer
	guard   func(func() error) error
	observe func(outcome string, batch int, took time.Duration)
	tracer  *telemetry.Tracer
}

type subscriberOptions struct {
	handle func(context.Context, []queue.Message) error
	drain  time.Duration
	traced bool
}

// openBackend returns the real servers. It does not wait for them: a role starts
// while they are down and reports it in its readiness.
func openBackend(cfg config.Config, log *slog.Logger) (*backend, error) {
	db, err := openDB(cfg.MySQL)
	if err != nil {
		return nil, err
	}
	rdb, err := openRedis(cfg.Redis)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	orders, events, err := rocketOptions(cfg.RocketMQ, log)
	if err != nil {
		return nil, errors.Join(err, db.Close(), rdb.Close())
	}
	admin, err := rocketmq.NewAdmin(orders)
	eventAdmin, failed := rocketmq.NewAdmin(events)
	if err := errors.Join(err, failed); err != nil {
		return nil, errors.Join(badSetting("SECKILL_ROCKETMQ_*", err), db.Close(), rdb.Close())
	}
	store := mysql.NewStore(db, log)
	return &backend{
		redis: rdb, db: db, store: store, operators: store, queue: &rocketQueue{admin, orders, eventAdmin, events},
		close: func() {
			admin.Close()
			eventAdmin.Close()
			if err := errors.Join(rdb.Close(), db.Close()); err != nil {
				log.Warn("closing connections", "err", err)
			}
		},
	}, nil
}

// rocketOptions returns the options of the topics of orders and of order events.
func rocketOptions(c config.RocketMQ, log *slog.Logger) (orders, events rocketmq.Options, err error) {
	orders = rocketmq.Options{
		NameServers: c.NameServers, AccessKey: c.AccessKey, SecretKey: c.SecretKey,
		Namespace: c.Namespace, Topic: c.Topic, ProbeTopic: c.ProbeTopic, Group: c.Group, Log: log,
	}
	if c.TLS {
		if orders.TLS, err = tlsConfig(c.CAFile); err != nil {
			return orders, events, badSetting("SECKILL_ROCKETMQ_CA_FILE", err)
		}
		orders.TLS.ServerName = c.ServerName
	}
	events = orders
	events.Topic, events.Group = c.EventTopic, ""
	return orders, events, nil
}

// newSigner returns what signs and verifies the messages of the orders' topic.
func newSigner(cfg config.Config) (*order.Signer, error) {
	s, err := order.NewSigner(cfg.RocketMQ.Namespace+"%"+cfg.RocketMQ.Topic, cfg.Messages.Keys...)
	if err != nil {
		return nil, badSetting("SECKILL_MESSAGE_KEYS", err)
	}
	return s, nil
}

// rocketQueue is RocketMQ as an orderQueue.
type rocketQueue struct {
	*rocketmq.Admin
	opts       rocketmq.Options
	eventAdmin *rocketmq.Admin
	eventOpts  rocketmq.Options
}

func (q *rocketQueue) events() (eventTopic, error) { return rocketmq.NewEventPublisher(q.eventOpts) }

func (q *rocketQueue) publisher(o publisherOptions) (publisher, error) {
	return rocketmq.NewPublisher(q.opts, rocketmq.PublisherOptions{Signer: o.signer, Guard: o.guard, Observe: o.observe, Tracer: o.tracer})
}

func (q *rocketQueue) subscriber(o subscriberOptions) (subscriber, error) {
	return rocketmq.NewSubscriber(q.opts, rocketmq.SubscriberOptions{Handle: o.handle, DrainTimeout: o.drain, Traced: o.traced})
}

// newRegistry returns a registry with the metrics that every process exports.
func newRegistry(cfg config.Config, b *backend) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	registerProcess(reg)
	registerPools(reg, b.db, b.redis, cfg.Redis.PoolSize)
	return reg
}

// openTraced opens the servers with tracing, if the settings name an endpoint.
// Closing the backend sends the remaining spans.
func openTraced(ctx context.Context, cfg config.Config, service string, log *slog.Logger) (*backend, error) {
	tracer, flush, err := openTracer(ctx, cfg.Trace, service, log)
	if err != nil {
		return nil, err
	}
	b, err := openBackend(cfg, log)
	if err != nil {
		return nil, err
	}
	b.trace(tracer)
	shut := b.close
	b.close = func() { shut(); flush() }
	return b, nil
}

// trace adds the calls to b to the traces of tracer.
func (b *backend) trace(tracer *telemetry.Tracer) {
	if tracer == nil {
		return
	}
	b.tracer = tracer
	stock.Trace(b.redis)
}

// openTracer returns the tracer that the settings ask for, nil for none, and a
// function that sends its remaining spans.
func openTracer(ctx context.Context, c config.Trace, service string, log *slog.Logger) (*telemetry.Tracer, func(), error) {
	if c.Endpoint == "" {
		return nil, func() {}, nil
	}
	e, err := otlp.New(ctx, otlp.Options{
		Endpoint: c.Endpoint, Sample: c.Sample, Service: service, Version: ThisBuild().Version, Instance: rand.Text(), Log: log,
	})
	if err != nil {
		return nil, nil, badSetting("SECKILL_TRACE_ENDPOINT", err)
	}
	flush := func() {
		if err := e.Close(context.WithoutCancel(ctx)); err != nil {
			log.WarnContext(ctx, "traces not sent", "err", err)
		}
	}
	return e.Tracer, flush, nil
}
