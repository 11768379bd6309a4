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

// backend is what the roles stand on: the real servers, or dev's embedded ones.
type backend struct {
	redis  redis.UniversalClient
	orders orderStore
	desk   operatorStore // the same store, for operators
	queue  orderQueue
	db     *sql.DB           // nil where orders are in memory
	tracer *telemetry.Tracer // nil: nothing is traced
	close  func()
}

// orderStore is all that order.Store and its twin do for the roles; each
// package asks for its own small part of it.
type orderStore interface { //nolint:interfacebloat // the union of what the packages ask for
	Ping(ctx context.Context) error
	NextNodeID(ctx context.Context) (int64, error)
	LastNodeID(ctx context.Context) (int64, error)

	Sale(ctx context.Context, id int64) (order.Sale, error)
	Sales(ctx context.Context) ([]order.Sale, error)
	ClosedSales(ctx context.Context, before int64, limit int) ([]int64, error)
	Operate(ctx context.Context, op order.Operation) (order.Sale, error)
	SetSaleState(ctx context.Context, cmd string, id int64, to order.SaleState) (order.Sale, error)
	RaiseEpoch(ctx context.Context, saleID int64) (uint64, error)
	Snapshot(ctx context.Context, saleID int64, page func([]order.Record) error) (order.Sale, error)
	Changes(ctx context.Context, saleID int64, after uint64, limit int) ([]order.Change, error)
	Tally(ctx context.Context, saleID int64) (order.Tally, error)
	CountDeadLetters(ctx context.Context) (order.DeadLetterCount, error)

	Settle(ctx context.Context, batch []order.Order) ([]order.Verdict, error)
	Void(ctx context.Context, o order.Order) (order.Verdict, error)
	AddDeadLetter(ctx context.Context, d order.DeadLetter) error
	Find(ctx context.Context, ids []order.ID) ([]order.Record, error)
	Cancel(ctx context.Context, id order.ID) (order.Verdict, error)
	Pay(ctx context.Context, p order.Payment) (order.Receipt, error)
	Expire(ctx context.Context, saleID int64, after uint64) (order.Expiry, error)
	ExtendPage(ctx context.Context, sale order.Sale, after order.ID) (next order.ID, err error)
	Extended(ctx context.Context, sale order.Sale) error
	Unpaid(ctx context.Context, saleID int64) (bool, error)
	Verdicts(ctx context.Context, os []order.Order) ([]order.Verdict, []order.Order, error)
	EventsBehind(ctx context.Context, closed bool, limit int) ([]order.EventCursor, error)
	EventPage(ctx context.Context, saleID int64, after uint64, orders int) (es []order.Event, through uint64, more bool, err error)
	HoldEvents(ctx context.Context, saleID int64, holder string, lease time.Duration) (seq uint64, held bool, err error)
	MoveEvents(ctx context.Context, saleID int64, holder string, seq uint64, lease time.Duration) error
	ReleaseEvents(ctx context.Context, saleID int64, holder string) error
	LiveOrders(ctx context.Context, saleID int64, after order.SlotCursor, limit int) ([]order.Record, order.SlotCursor, error)
	ByShopper(ctx context.Context, saleID int64, shopper string, before order.ID, limit int) ([]order.Record, error)
}

// operatorStore is what the store does for operators beyond that.
type operatorStore interface { //nolint:interfacebloat // the union of what admin asks for
	orderStore

	Create(ctx context.Context, c order.Creation) (order.Sale, error)
	SalesBefore(ctx context.Context, before int64, limit int) ([]order.Sale, error)
	Report(ctx context.Context, saleID int64, page func([]order.Record) error) (order.Report, error)
	Orders(ctx context.Context, q order.Query) (found []order.Record, next order.ID, err error)
	OfShopper(ctx context.Context, saleIDs []int64, shopper string, limit int) ([]order.Record, error)
	CancelAs(ctx context.Context, by order.Operator, cmd string, id order.ID) (order.Verdict, error)
	AuditLog(ctx context.Context, q order.AuditQuery) ([]order.AuditEntry, error)
	Note(ctx context.Context, e order.AuditEntry) (fresh bool, err error)
	DeadLetters(ctx context.Context, saleID int64, limit int) ([]order.DeadLetter, error)
	DeadLettersNamed(ctx context.Context, name string) ([]order.DeadLetter, error)
	DiscardAs(ctx context.Context, by order.Operator, cmd string, d order.DeadLetter) error
	Limits(ctx context.Context) (order.Limits, error)
	ChangeLimits(ctx context.Context, c order.LimitsChange) (order.Limits, error)
}

// queue is RocketMQ or its twin.
type orderQueue interface { //nolint:interfacebloat // the union of what the roles ask for
	MaxOffsets(ctx context.Context) (queue.Offsets, error)
	Committed(ctx context.Context) (queue.Offsets, error)
	Lag(ctx context.Context) (int64, error)
	publisher(o publisherOptions) (publisher, error)
	subscriber(o subscriberOptions) (subscriber, error)
	// events is the topic of order events, to write to.
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
	guard   func(func() error) error
	observe func(outcome string, batch int, took time.Duration)
	tracer  *telemetry.Tracer
}

type subscriberOptions struct {
	handle func(context.Context, []queue.Message) error
	drain  time.Duration
	traced bool
}

// openBackend returns the real servers. It waits for none of them: a role
// starts while they are away and says so in its readiness.
func openBackend(cfg config.Config, log *slog.Logger) (*backend, error) {
	db, err := openDB(cfg.MySQL)
	if err != nil {
		return nil, err
	}
	rdb, err := openRedis(cfg.Redis)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	opts := rocketOptions(cfg.RocketMQ, log)
	admin, err := rocketmq.NewAdmin(opts)
	if err != nil {
		return nil, errors.Join(badSetting("SECKILL_ROCKETMQ_*", err), db.Close(), rdb.Close())
	}
	store := mysql.NewStore(db, log)
	return &backend{
		redis: rdb, db: db, orders: store, desk: store, queue: &broker{admin, opts, eventOptions(cfg.RocketMQ, log)},
		close: func() {
			admin.Close()
			if err := errors.Join(rdb.Close(), db.Close()); err != nil {
				log.Warn("closing connections", "err", err)
			}
		},
	}, nil
}

func rocketOptions(c config.RocketMQ, log *slog.Logger) rocketmq.Options {
	return rocketmq.Options{
		NameServers: c.NameServers, AccessKey: c.AccessKey, SecretKey: c.SecretKey,
		Namespace: c.Namespace, Topic: c.Topic, ProbeTopic: c.ProbeTopic, Group: c.Group, Log: log,
	}
}

// eventOptions are rocketOptions of the topic of order events.
func eventOptions(c config.RocketMQ, log *slog.Logger) rocketmq.Options {
	opts := rocketOptions(c, log)
	opts.Topic, opts.Group = c.EventTopic, ""
	return opts
}

// broker is RocketMQ as a queue.
type broker struct {
	*rocketmq.Admin
	opts      rocketmq.Options
	eventOpts rocketmq.Options
}

func (b *broker) events() (eventTopic, error) { return rocketmq.NewEventPublisher(b.eventOpts) }

func (b *broker) publisher(o publisherOptions) (publisher, error) {
	return rocketmq.NewPublisher(b.opts, rocketmq.PublisherOptions{Guard: o.guard, Observe: o.observe, Tracer: o.tracer})
}

func (b *broker) subscriber(o subscriberOptions) (subscriber, error) {
	return rocketmq.NewSubscriber(b.opts, rocketmq.SubscriberOptions{Handle: o.handle, DrainTimeout: o.drain, Traced: o.traced})
}

// newRegistry returns a registry with what every process exports.
func newRegistry(cfg config.Config, b *backend) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	registerProcess(reg)
	registerPools(reg, b.db, b.redis, cfg.Redis.PoolSize)
	return reg
}

// openTraced is openBackend for a role: its requests and orders are traced, if
// the settings say where to. Closing it sends the spans that wait.
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

// trace makes what is done through b part of the traces of tracer.
func (b *backend) trace(tracer *telemetry.Tracer) {
	if tracer == nil {
		return
	}
	b.tracer = tracer
	stock.Trace(b.redis)
}

// openTracer returns the tracer that the settings ask for, nil for none, and
// what sends the rest of its spans in the end.
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
