package cli

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"seckill/cmd/seckill/internal/app"
	"seckill/internal/config"
	"seckill/internal/telemetry"
	"seckill/order"
)

func newAPI(p *process) *cobra.Command {
	var listen, adminListen string
	c := &cobra.Command{
		Use:   "api",
		Short: "Serve shoppers: reserve in Redis, send the order to the queue, respond 202",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, log, err := p.roleSettings(append(servers, "message_keys", "id_keys", "jwt_secrets|jwt_public_keys")...)
			if err != nil {
				return err
			}
			override(&cfg.Listen, listen)
			override(&cfg.AdminListen, adminListen)
			return app.RunAPI(c.Context(), cfg, log)
		},
	}
	c.Flags().StringVar(&listen, "listen", "", "address of the shoppers' API (SECKILL_LISTEN)")
	c.Flags().StringVar(&adminListen, "admin-listen", "", "address of the operators' API, health checks and metrics (SECKILL_ADMIN_LISTEN)")
	return c
}

func newConsumer(p *process) *cobra.Command {
	var adminListen string
	c := &cobra.Command{
		Use:   "consumer",
		Short: "Settle orders: a fixed pool of workers reads them from the queue and writes them to MySQL",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, log, err := p.roleSettings(append(servers, "message_keys")...)
			if err != nil {
				return err
			}
			override(&cfg.AdminListen, adminListen)
			return app.RunConsumer(c.Context(), cfg, log)
		},
	}
	c.Flags().StringVar(&adminListen, "admin-listen", "", "address of the operators' API, health checks and metrics (SECKILL_ADMIN_LISTEN)")
	return c
}

func override(setting *string, flag string) {
	if flag != "" {
		*setting = flag
	}
}

func newDev(p *process) *cobra.Command {
	var listen, adminListen, traces string
	var verbose bool
	c := &cobra.Command{
		Use:   "dev",
		Short: "Try everything in one process: embedded servers, a sample sale, a page to buy on; nothing is stored",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			log := slog.New(slog.DiscardHandler)
			if verbose {
				log = slog.New(telemetry.LogHandler(slog.NewTextHandler(p.stderr, nil)))
			}
			cfg, err := app.DevConfig()
			if err != nil {
				return err
			}
			cfg.Listen, cfg.AdminListen = listen, adminListen
			cfg.Trace = config.Trace{Endpoint: traces, Sample: 1}
			return app.RunDev(c.Context(), cfg, log, p.greet)
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "address of the shoppers' API")
	c.Flags().StringVar(&adminListen, "admin-listen", config.DefaultAdminListen, "address of the operators' API, health checks and metrics")
	c.Flags().StringVar(&traces, "trace-endpoint", "", "send a trace of every request to this address (OTLP over HTTP, such as http://127.0.0.1:4318)")
	c.Flags().BoolVar(&verbose, "verbose", false, "log what happens")
	return c
}

func (p *process) greet(d app.DevStarted, sale order.Sale) {
	if p.json {
		_ = writeJSON(p.stdout, d)
		return
	}
	fmt.Fprintf(p.stdout, `A sale of %d units is open. Everything runs in this process, and nothing is stored.

Buy on a page:  %s/#token=%s

Or with curl, as shopper 42: buy, then get the result:

  TOKEN=%s
  curl -i -X POST %s/v1/sales/%s/orders -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"quantity":1}'
  curl "%s/v1/orders/<id from the response>?wait=5s" -H "Authorization: Bearer $TOKEN"

Pay within %s, as the payment provider would:

  SECKILL_PAYMENT_SECRETS=%s %s pay <id from the response> --amount %d --currency %s --url %s

See the sale, then pause it, as an operator would:

  curl %s/v1/sales/%s
  ADMIN=%s
  curl -X POST %s/admin/v1/sales/%s/pause -H "Authorization: Bearer $ADMIN"

Ctrl-C stops it.
`, sale.Total, d.URL, d.Token, d.Token, d.URL, d.SaleID, d.URL,
		sale.PayWithin, d.PaymentSecret, os.Args[0], sale.PriceMinor, sale.Currency, d.URL, d.URL, d.SaleID,
		d.AdminToken, d.AdminURL, d.SaleID)
}
