package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"

	"seckill/admin"
	adminhttp "seckill/admin/http"
	"seckill/fleet"
	"seckill/internal/config"
	"seckill/internal/loop"
	"seckill/internal/telemetry"
	"seckill/order"
	"seckill/order/memory"
	"seckill/queue"
	queuememory "seckill/queue/memory"
)

// DevStarted is the first line that `dev --json` prints.
type DevStarted struct {
	URL    string `json:"url"`
	SaleID string `json:"sale_id"`
	Token  string `json:"token"`
	// PaymentSecret signs payments: SECKILL_PAYMENT_SECRETS of `seckill pay`.
	PaymentSecret string `json:"payment_secret"`
	// AdminURL and AdminToken are for the operators' API.
	AdminURL   string `json:"admin_url"`
	AdminToken string `json:"admin_token"`
}

// RunDev runs both roles in this process, on embedded servers, with a sample sale
// that is open. When the sale can be bought it calls greet.
func RunDev(ctx context.Context, cfg config.Config, log *slog.Logger, greet func(DevStarted, order.Sale)) error {
	tracer, flush, err := openTracer(ctx, cfg.Trace, "seckill-dev", log)
	if err != nil {
		return err
	}
	defer flush()
	return runDev(ctx, cfg, tracer, log, greet)
}

func runDev(ctx context.Context, cfg config.Config, tracer *telemetry.Tracer, log *slog.Logger, greet func(DevStarted, order.Sale)) error {
	b, err := devBackend(cfg)
	if err != nil {
		return err
	}
	defer b.close()
	b.trace(tracer)
	sale, err := sampleSale(ctx, cfg, b, log)
	if err != nil {
		return err
	}
	started, err := devTokens(cfg, sale)
	if err != nil {
		return err
	}
	consumerReg, reg := prometheus.NewRegistry(), prometheus.NewRegistry()
	consumer, err := newConsumerRole(cfg, b, consumerReg, log)
	if err != nil {
		return err
	}
	api, err := newAPIRole(cfg, b, reg, log) //nolint:contextcheck // what it makes ends in run's order, not with ctx
	if err != nil {
		return err
	}
	operators, err := newAdminAPI(cfg, b, reg, log)
	if err != nil {
		return err
	}
	adminAt, err := listenAdmin(ctx, cfg.AdminListen)
	if err != nil {
		return err
	}
	started.AdminURL = "http://" + adminAt.Addr().String()
	handler := adminHandler(cfg.AdminListen, reg, api, operators)
	api.up = func(addr net.Addr) {
		started.URL = "http://" + addr.String()
		if api.await(ctx) { // the reader of the greeting may buy at once
			greet(started, sale)
		}
	}
	return serve(ctx, log, api.run, consumer.run,
		func(ctx context.Context) error { return serveAdmin(ctx, adminAt, handler, log) },
		newMember(cfg, b, fleet.RoleAPI, api, adminAt.Addr(), reg, log).Run,
		newMember(cfg, b, fleet.RoleConsumer, consumer, adminAt.Addr(), consumerReg, log).Run)
}

// devBackend returns the embedded servers.
func devBackend(cfg config.Config) (*backend, error) {
	mini := miniredis.NewMiniRedis()
	if err := mini.Start(); err != nil {
		return nil, fmt.Errorf("embedded redis: %w", err)
	}
	cfg.Redis.Addrs = []string{mini.Addr()}
	rdb, err := openRedis(cfg.Redis)
	if err != nil {
		mini.Close()
		return nil, err
	}
	store := memory.NewStore()
	return &backend{redis: rdb, store: store, operators: store, queue: newMemoryQueue(), close: func() {
		_ = rdb.Close()
		mini.Close()
	}}, nil
}

// await waits until the process can sell. It returns false if ctx ends first.
func (a *APIRole) await(ctx context.Context) bool {
	for a.ready() != nil {
		if loop.Pause(ctx, time.Millisecond) != nil {
			return false
		}
	}
	return true
}

// devTokens makes the tokens for a shopper and an operator.
func devTokens(cfg config.Config, sale order.Sale) (DevStarted, error) {
	expires := time.Now().Add(24 * time.Hour)
	shopper, err := NewMinter(ShopperTokens(cfg), expires)
	if err != nil {
		return DevStarted{}, err
	}
	operator, err := NewMinter(OperatorTokens(cfg, adminhttp.Operate), expires)
	if err != nil {
		return DevStarted{}, err
	}
	started := DevStarted{SaleID: strconv.FormatInt(sale.ID, 10), PaymentSecret: string(cfg.API.PaymentSecrets[0])}
	started.Token, err = shopper("42")
	if err != nil {
		return DevStarted{}, err
	}
	started.AdminToken, err = operator("dev")
	return started, err
}

// DevConfig returns the default settings, with keys that are valid as long as this
// process runs.
func DevConfig() (config.Config, error) {
	cfg, err := config.Load(nil, "")
	if err != nil {
		return cfg, err
	}
	cfg.MySQL.MaxConns = 1000 // there is no MySQL whose connections could be too few
	cfg.Auth.JWTSecrets = map[string][]byte{"": []byte(rand.Text() + rand.Text())}
	cfg.Admin.JWTSecrets = map[string][]byte{"": []byte(rand.Text() + rand.Text())}
	cfg.Auth.IDKeys = [][]byte{[]byte(rand.Text() + rand.Text())}
	cfg.Messages.Keys = [][]byte{[]byte(rand.Text() + rand.Text())}
	cfg.API.Pages = true
	cfg.API.PaymentSecrets = [][]byte{[]byte(rand.Text() + rand.Text())}
	return cfg, nil
}

func sampleSale(ctx context.Context, cfg config.Config, b *backend, log *slog.Logger) (order.Sale, error) {
	now := time.Now().UTC().Truncate(time.Second)
	service := newService(cfg, b, log)
	call := func() admin.Call {
		return admin.Call{By: order.Operator{Name: "dev", Role: adminhttp.Operate}, Command: admin.NewCommand()}
	}
	made, err := service.Create(ctx, call(), order.Sale{
		Title: "Sample sale", SKU: "sample-1", PriceMinor: 9900, Currency: "CNY",
		Total: 100, OrdersPerShopper: 1, UnitsPerOrder: 1, // no attempts_per_shopper: who tries it out buys and cancels as often as they like
		StartsAt: now.Add(-time.Second), EndsAt: now.Add(24 * time.Hour), PayWithin: 10 * time.Minute,
	})
	if err != nil {
		return made.Sale, err
	}
	open, _ := admin.Moves("open")
	opened, err := service.Act(ctx, call(), made.Sale.ID, open)
	return opened.Sale, errors.Join(err, opened.Behind)
}

// memoryQueue is the queue in memory as an orderQueue.
type memoryQueue struct {
	*queuememory.Queue
	topic *queuememory.Topic
}

func newMemoryQueue() memoryQueue { return memoryQueue{queuememory.NewQueue(), queuememory.NewTopic()} }

func (q memoryQueue) events() (eventTopic, error) { return q.topic, nil }

func (q memoryQueue) publisher(o publisherOptions) (publisher, error) {
	return memoryPublisher{q.Queue, o}, nil
}

func (q memoryQueue) subscriber(o subscriberOptions) (subscriber, error) {
	if o.handle == nil {
		return nil, errors.New("a subscriber needs a handler")
	}
	return q.Subscribe(o.handle), nil
}

// devTopic is the name of the topic in traces.
const devTopic = "SECKILL_ORDER"

type memoryPublisher struct {
	queue *queuememory.Queue
	opts  publisherOptions
}

func (d memoryPublisher) Publish(ctx context.Context, o order.Order) error {
	span := d.opts.tracer.Create(ctx, devTopic, int64(o.ID))
	m := queue.Message{ID: o.ID.String(), Body: d.opts.signer.Append(nil, o), Traceparent: span.Traceparent()}
	err := d.opts.guard(func() error { return d.queue.PublishMessage(ctx, m) })
	span.End(err)
	return err
}

func (d memoryPublisher) Probe(context.Context) error { return nil }
func (d memoryPublisher) Close(context.Context) error { return nil }
