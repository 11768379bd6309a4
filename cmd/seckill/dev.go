package main

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
	"github.com/spf13/cobra"

	"seckill/admin"
	"seckill/admin/http"
	"seckill/fleet"
	"seckill/internal/config"
	"seckill/internal/telemetry"
	"seckill/order"
	"seckill/order/memory"
	"seckill/queue"
	queuememory "seckill/queue/memory"
)

func newDev(p *process) *cobra.Command {
	var listen, adminListen, traces string
	var verbose bool
	c := &cobra.Command{
		Use:   "dev",
		Short: "Try everything in one process: embedded servers, a sample sale, a shopper page; nothing is kept",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			log := slog.New(slog.DiscardHandler)
			if verbose {
				log = slog.New(telemetry.LogHandler(slog.NewTextHandler(p.stderr, nil)))
			}
			tracer, flush, err := openTracer(c.Context(), config.Trace{Endpoint: traces, Sample: 1}, "seckill-dev", log)
			if err != nil {
				return err
			}
			defer flush()
			return p.runDev(c.Context(), listen, adminListen, tracer, log)
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "address to serve on")
	c.Flags().StringVar(&adminListen, "admin-listen", config.DefaultAdminListen, "address for operators, health checks and metrics")
	c.Flags().StringVar(&traces, "trace-endpoint", "", "send a trace of every request there (OTLP over HTTP, such as http://127.0.0.1:4318)")
	c.Flags().BoolVar(&verbose, "verbose", false, "log what happens")
	return c
}

// devStarted is the first line of `dev --json`.
type devStarted struct {
	URL    string `json:"url"`
	SaleID string `json:"sale_id"`
	Token  string `json:"token"`
	// PaymentSecret signs payments: SECKILL_PAYMENT_SECRETS of `seckill pay`.
	PaymentSecret string `json:"payment_secret"`
	// AdminURL and AdminToken are an operator's.
	AdminURL   string `json:"admin_url"`
	AdminToken string `json:"admin_token"`
}

func (p *process) runDev(ctx context.Context, listen, adminListen string, tracer *telemetry.Tracer, log *slog.Logger) error {
	cfg, err := devConfig()
	if err != nil {
		return err
	}
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
	backReg := prometheus.NewRegistry()
	back, err := newBack(cfg, b, backReg, log)
	if err != nil {
		return err
	}
	reg := prometheus.NewRegistry()
	front, err := newFront(cfg, b, reg, log) //nolint:contextcheck // what it makes ends in run's order, not with ctx
	if err != nil {
		return err
	}
	operators, err := newAdminAPI(cfg, b, log)
	if err != nil {
		return err
	}
	adminAt, err := listenAdmin(ctx, adminListen)
	if err != nil {
		return err
	}
	started.AdminURL = "http://" + adminAt.Addr().String()
	handler := adminHandler(adminListen, reg, health{front.ready, front.details}, operators)
	up := func(addr net.Addr) {
		started.URL = "http://" + addr.String()
		if front.await(ctx) { // who reads the greeting may buy at once
			p.greet(started, sale)
		}
	}
	return serve(ctx, log, func(ctx context.Context) error { return front.run(ctx, listen, up) }, back.run,
		func(ctx context.Context) error { return serveAdmin(ctx, adminAt, handler, log) },
		newMember(cfg, b, fleet.RoleAPI, front, adminAt.Addr(), reg, log).Run,
		newMember(cfg, b, fleet.RoleConsumer, back, adminAt.Addr(), backReg, log).Run)
}

// devBackend is the embedded stand-ins.
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
	return &backend{redis: rdb, orders: store, desk: store, queue: newDevQueue(), close: func() {
		_ = rdb.Close()
		mini.Close()
	}}, nil
}

// await waits until the process can sell, or ctx is done.
func (f *front) await(ctx context.Context) bool {
	for f.ready() != nil {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(time.Millisecond):
		}
	}
	return true
}

// devTokens are what a person needs to try everything.
func devTokens(cfg config.Config, sale order.Sale) (devStarted, error) {
	expires := time.Now().Add(24 * time.Hour)
	shopper, err := newMinter(shopperTokens(cfg), expires)
	if err != nil {
		return devStarted{}, err
	}
	operator, err := newMinter(operatorsTokens(cfg, adminhttp.Operate), expires)
	if err != nil {
		return devStarted{}, err
	}
	started := devStarted{SaleID: strconv.FormatInt(sale.ID, 10), PaymentSecret: string(cfg.API.PaymentSecrets[0])}
	started.Token, err = shopper("42")
	if err != nil {
		return devStarted{}, err
	}
	started.AdminToken, err = operator("dev")
	return started, err
}

// devConfig is the defaults, with keys that live as long as the process.
func devConfig() (config.Config, error) {
	cfg, err := config.Load(nil, "")
	if err != nil {
		return cfg, err
	}
	cfg.MySQL.MaxConns = 1000 // the stand-in has none that could be too few
	cfg.Auth.JWTSecrets = map[string][]byte{"": []byte(rand.Text() + rand.Text())}
	cfg.Admin.JWTSecrets = map[string][]byte{"": []byte(rand.Text() + rand.Text())}
	cfg.Auth.IDKeys = [][]byte{[]byte(rand.Text() + rand.Text())}
	cfg.API.PaymentSecrets = [][]byte{[]byte(rand.Text() + rand.Text())}
	return cfg, nil
}

func sampleSale(ctx context.Context, cfg config.Config, b *backend, log *slog.Logger) (order.Sale, error) {
	now := time.Now().UTC().Truncate(time.Second)
	service := newService(cfg, b, log)
	made, err := service.Create(ctx, thisCall(), order.Sale{
		Title: "Sample sale", SKU: "sample-1", PriceMinor: 9900, Currency: "CNY",
		Total: 100, OrdersPerShopper: 1, UnitsPerOrder: 1,
		StartsAt: now.Add(-time.Second), EndsAt: now.Add(24 * time.Hour), PayWithin: 10 * time.Minute,
	})
	if err != nil {
		return made.Sale, err
	}
	open, _ := admin.Moves("open")
	opened, err := service.Act(ctx, thisCall(), made.Sale.ID, open)
	return opened.Sale, errors.Join(err, opened.Behind)
}

func (p *process) greet(d devStarted, sale order.Sale) {
	if p.json {
		_ = writeJSON(p.stdout, d)
		return
	}
	fmt.Fprintf(p.stdout, `A sale of %d units is open. Everything is in this process: nothing is kept.

The shopper's page:  %s/#token=%s

Buy, then ask for the result (shopper 42):

  TOKEN=%s
  curl -i -X POST %s/v1/sales/%s/orders -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"quantity":1}'
  curl "%s/v1/orders/<id from the answer>?wait=5s" -H "Authorization: Bearer $TOKEN"

Pay it, as the payment provider would, within %s:

  SECKILL_PAYMENT_SECRETS=%s seckill pay <id from the answer> --amount %d --currency %s --url %s

Look at the sale, then pause it, as an operator would:

  curl %s/v1/sales/%s
  ADMIN=%s
  curl -X POST %s/admin/v1/sales/%s/pause -H "Authorization: Bearer $ADMIN"

Ctrl-C stops it.
`, sale.Total, d.URL, d.Token, d.Token, d.URL, d.SaleID, d.URL,
		sale.PayWithin, d.PaymentSecret, sale.PriceMinor, sale.Currency, d.URL, d.URL, d.SaleID,
		d.AdminToken, d.AdminURL, d.SaleID)
}

// devQueue is the in-memory twin as a queue.
type devQueue struct {
	*queuememory.Queue
	topic *queuememory.Topic
}

func newDevQueue() devQueue { return devQueue{queuememory.NewQueue(), queuememory.NewTopic()} }

func (q devQueue) events() (eventTopic, error) { return q.topic, nil }

func (q devQueue) publisher(o publisherOptions) (publisher, error) {
	return devPublisher{q.Queue, o}, nil
}

func (q devQueue) subscriber(o subscriberOptions) (subscriber, error) {
	if o.handle == nil {
		return nil, errors.New("a subscriber needs a handler")
	}
	return q.Subscribe(o.handle), nil
}

// devTopic is what the twin's one topic is called in traces.
const devTopic = "SECKILL_ORDER"

type devPublisher struct {
	queue *queuememory.Queue
	opts  publisherOptions
}

func (d devPublisher) Publish(ctx context.Context, o order.Order) error {
	span := d.opts.tracer.Create(ctx, devTopic, int64(o.ID))
	m := queue.Message{ID: o.ID.String(), Body: order.AppendMessage(nil, o), Traceparent: span.Traceparent()}
	err := d.opts.guard(func() error { return d.queue.PublishMessage(ctx, m) })
	span.End(err)
	return err
}

func (d devPublisher) Probe(context.Context) error { return nil }
func (d devPublisher) Close(context.Context) error { return nil }
