package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"seckill/order"
	"seckill/reconcile"
	"seckill/stock"
)

func newSale(p *process) *cobra.Command {
	c := &cobra.Command{
		Use: "sale", Short: "Make and steer sales", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(
		newSaleCreate(p), newSaleList(p), newSaleShow(p),
		newSaleMove(p, "open", "Load a sale into Redis now; it sells within its window", order.SaleOpen),
		newSaleMove(p, "pause", "Refuse purchases until the sale is resumed", order.SalePaused),
		newSaleMove(p, "resume", "Let a paused sale sell again", order.SaleOpen),
		newSaleMove(p, "end", "Refuse purchases for good; orders under way still get their result", order.SaleEnded),
	)
	return c
}

func newSaleCreate(p *process) *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "create -f sale.yaml|-",
		Short: "Make a sale from a YAML or JSON file",
		Args:  cobra.NoArgs,
		Example: `  seckill sale create -f - <<EOF
  title: Sneaker drop
  sku: sneaker-42
  price_minor: 9900
  currency: CNY
  stock: 1000
  starts_at: 2030-01-01T12:00:00Z
  ends_at: 2030-01-01T13:00:00Z
  EOF`,
		RunE: func(c *cobra.Command, _ []string) error {
			if path == "" {
				return &usageError{errors.New("give the sale's file with -f, or -f - for standard input")}
			}
			sale, err := readSale(p.stdin, path)
			if err != nil {
				return &usageError{err}
			}
			return p.withOperator(func(o *operator) error {
				made, err := o.create(c.Context(), sale)
				if err != nil {
					return err
				}
				return p.showSale(made)
			})
		},
	}
	c.Flags().StringVarP(&path, "file", "f", "", "the sale's file, or - for standard input")
	return c
}

func newSaleList(p *process) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the sales that are not closed, newest first", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.withOperator(func(o *operator) error {
				var ss []order.Sale
				err := askMySQL(c.Context(), func(ctx context.Context) (err error) { ss, err = o.b.orders.Sales(ctx); return err })
				if err != nil {
					return err
				}
				if p.json {
					views := make([]saleView, len(ss))
					for i, s := range ss {
						views[i] = viewSale(s)
					}
					return writeJSON(p.stdout, views)
				}
				return listSales(p.stdout, ss)
			})
		},
	}
}

func newSaleShow(p *process) *cobra.Command {
	return &cobra.Command{
		Use: "show SALE", Short: "Show a sale", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := saleArg(args)
			if err != nil {
				return err
			}
			return p.withOperator(func(o *operator) error {
				sale, err := o.sale(c.Context(), id)
				if err != nil {
					return err
				}
				return p.showSale(sale)
			})
		},
	}
}

func newSaleMove(p *process, use, short string, to order.SaleState) *cobra.Command {
	return &cobra.Command{
		Use: use + " SALE", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := saleArg(args)
			if err != nil {
				return err
			}
			return p.withOperator(func(o *operator) error {
				sale, err := o.move(c.Context(), id, to)
				if err != nil {
					return err
				}
				return p.showSale(sale)
			})
		},
	}
}

func saleArg(args []string) (int64, error) {
	id, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil || id <= 0 {
		return 0, &usageError{fmt.Errorf("a sale's ID is a decimal number, got %q", args[0])}
	}
	return id, nil
}

// withOperator runs a command on the real servers.
func (p *process) withOperator(fn func(*operator) error) error {
	cfg, err := p.settings(servers...)
	if err != nil {
		return err
	}
	cfg.LogLevel, cfg.LogFormat = "warn", "text"
	log := p.logger(cfg)
	b, err := openBackend(cfg, log)
	if err != nil {
		return err
	}
	defer b.close()
	return fn(newOperator(b, log))
}

// operator is what the commands of an operator do.
type operator struct {
	b      *backend
	ledger *stock.Ledger
	loader *reconcile.Loader
	tail   *reconcile.Tail
}

func newOperator(b *backend, log *slog.Logger) *operator {
	ledger := stock.New(b.redis)
	return &operator{b, ledger, reconcile.NewLoader(b.orders, b.orders, ledger, b.queue, log), reconcile.NewTail(b.orders, ledger)}
}

func (o *operator) sale(ctx context.Context, id int64) (s order.Sale, err error) {
	err = askMySQL(ctx, func(ctx context.Context) error { s, err = o.b.orders.Sale(ctx, id); return err })
	if errors.Is(err, order.ErrNotFound) {
		err = &noSaleError{id}
	}
	return s, err
}

func (o *operator) create(ctx context.Context, s order.Sale) (made order.Sale, err error) {
	err = askMySQL(ctx, func(ctx context.Context) error {
		worker, err := o.b.orders.NextWorker(ctx)
		if err != nil {
			return err
		}
		id, err := order.NewIDMaker(worker).Next()
		if err != nil {
			return err
		}
		s.ID = int64(id) // made like an order's: no sale ever has another one's keys in Redis
		made, err = o.b.orders.CreateSale(ctx, s)
		return err
	})
	if errors.Is(err, order.ErrConflict) {
		return made, fmt.Errorf("a sale with external_id %q exists, with other terms", s.ExternalID)
	}
	if err == nil {
		_ = o.ledger.Announce(ctx, made.ID) // the APIs' slow poll finds it anyway
	}
	return made, err
}

// move puts a sale into another state, and has every API know it before it
// returns: MySQL decides, Redis is brought up to date, the change is announced.
func (o *operator) move(ctx context.Context, id int64, to order.SaleState) (order.Sale, error) {
	if _, err := o.sale(ctx, id); err != nil {
		return order.Sale{}, err
	}
	var sale order.Sale
	cmd := fmt.Sprintf("%s-%d-%d", to, id, time.Now().UnixNano())
	err := askMySQL(ctx, func(ctx context.Context) (err error) {
		sale, err = o.b.orders.SetSaleState(ctx, cmd, id, to)
		return err
	})
	if errors.Is(err, order.ErrConflict) {
		now, rerr := o.sale(ctx, id)
		if rerr != nil {
			return now, rerr
		}
		return now, fmt.Errorf("sale %d is %s: it cannot become %s", id, now.State, to)
	}
	if err != nil {
		return sale, err
	}
	if err := o.push(ctx, sale); err != nil {
		return sale, &dependencyError{"redis", fmt.Errorf("%w (the sale is %s in MySQL; the consumers bring Redis up to date within seconds of its return)", err, to)}
	}
	return sale, nil
}

func (o *operator) push(ctx context.Context, sale order.Sale) error {
	if sale.State.Loaded() {
		if err := o.loader.Load(ctx, sale.ID); err != nil {
			return err
		}
	}
	ms, err := o.ledger.Metas(ctx, []int64{sale.ID})
	if err != nil {
		return err
	}
	if ms[0].Loaded && ms[0].Applied < sale.Seq {
		if err := o.tail.CatchUp(ctx, sale.ID, ms[0].Applied); err != nil {
			return err
		}
	}
	return o.ledger.Announce(ctx, sale.ID)
}

func listSales(w io.Writer, ss []order.Sale) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tSTATE\tAVAILABLE\tTOTAL\tSTARTS\tENDS\tTITLE")
	for _, s := range ss {
		fmt.Fprintf(t, "%d\t%s\t%d\t%d\t%s\t%s\t%q\n", s.ID, s.State, s.Available, s.Total, s.StartsAt.Format(time.RFC3339), s.EndsAt.Format(time.RFC3339), s.Title)
	}
	return t.Flush()
}
