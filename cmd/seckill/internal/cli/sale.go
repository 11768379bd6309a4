package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"seckill/admin"
	adminhttp "seckill/admin/http"
	"seckill/cmd/seckill/internal/app"
	"seckill/order"
)

func newSale(p *process) *cobra.Command {
	c := group("sale", "Create, change and watch sales",
		newSaleCreate(p), newSaleList(p), newSaleShow(p), newSaleUpdate(p),
		newSaleOpen(p),
		newSaleMoveAll(p, "pause", "Refuse purchases until the sale is resumed; --all: in every open sale", "every sale that is open"),
		newSaleMoveAll(p, "resume", "Let a paused sale sell again; --all: every paused sale", "every sale that is paused"),
		newSaleEnd(p),
		newSaleRestock(p), newSaleExtendPay(p), newSaleVoid(p), newSaleWatch(p), newSaleReport(p),
	)
	c.Long = c.Short + `.

SALE is the ID of a sale or its external_id. A number may be either; if it is the ID of one sale and the
external_id of another, it is refused. id:NUMBER and ext:NAME say which is meant.`
	return c
}

func newSaleCreate(p *process) *cobra.Command {
	var path string
	var dry, unusual bool
	c := &cobra.Command{
		Use:   "create -f sale.yaml|-",
		Short: "Create a sale from a YAML or JSON file",
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
			if ds := doubts(sale, time.Now()); ds != nil && !unusual {
				return &usageError{fmt.Errorf("nothing was created. Is this intended? If so, add --allow-unusual:\n%s", strings.Join(ds, "\n"))}
			}
			if dry {
				return p.showSale(sale)
			}
			return p.withServers(func(s *admin.Service) error {
				made, err := s.Create(c.Context(), thisCall(), sale)
				if errors.Is(err, order.ErrConflict) {
					return fmt.Errorf("a sale with external_id %q exists, with other terms", sale.ExternalID)
				}
				if err != nil {
					return err
				}
				return p.showSale(made.Sale) // Redis has nothing of it yet, nor needs it
			})
		},
	}
	c.Flags().StringVarP(&path, "file", "f", "", "the sale's file, or - for standard input")
	c.Flags().BoolVar(&dry, "dry-run", false, "check the file, show the sale and create nothing; needs no server")
	c.Flags().BoolVar(&unusual, "allow-unusual", false, "create it even if something in it is seldom intended, such as a price of 0 or a window in the past")
	return c
}

func newSaleList(p *process) *cobra.Command {
	var all bool
	var before int64
	var limit int
	c := &cobra.Command{
		Use: "list", Short: "List the sales that are not closed, newest first", Args: cobra.NoArgs,
		PreRunE: func(c *cobra.Command, _ []string) error {
			if limit < 1 || before < 0 {
				return &usageError{errors.New("--limit and --before are positive numbers")}
			}
			if !all && (c.Flags().Changed("limit") || before > 0) {
				return &usageError{errors.New("--limit and --before go with --all")}
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			return p.withServers(func(s *admin.Service) error {
				if all {
					ss, err := s.List(c.Context(), before, limit+1)
					if err != nil {
						return err
					}
					ss = part(p, ss, limit, func(last order.Sale) string { return fmt.Sprintf("`--before %d` shows those after them", last.ID) })
					return p.listSales(ss)
				}
				ss, err := s.Current(c.Context())
				if err != nil {
					return err
				}
				if len(ss) >= order.MaxSales {
					fmt.Fprintf(p.stderr, "only %d sales are shown: there may be more, see --all\n", len(ss))
				}
				return p.listSales(ss)
			})
		},
	}
	c.Flags().BoolVar(&all, "all", false, "also closed ones")
	c.Flags().IntVar(&limit, "limit", order.MaxSales, "maximum number of sales, with --all")
	c.Flags().Int64Var(&before, "before", 0, "only sales before this ID, with --all")
	return c
}

func newSaleShow(p *process) *cobra.Command {
	return &cobra.Command{
		Use: "show SALE", Short: "Show a sale, in MySQL and in Redis", Args: cobra.ExactArgs(1),
		RunE: onSale(p.withServers, func(c *cobra.Command, s *admin.Service, id int64) error {
			sale, err := s.Sale(c.Context(), id)
			if err != nil {
				return ofSale(id, err)
			}
			return p.showStatus(sale)
		}),
	}
}

// steer applies an action to a sale and shows the sale.
func (p *process) steer(ctx context.Context, s *admin.Service, call admin.Call, id int64, a order.Action) error {
	done, err := s.Act(ctx, call, id, a)
	if err := errors.Join(ofSale(id, err), done.Behind); done.Sale.ID == 0 || err != nil {
		return err
	}
	return p.showSale(done.Sale)
}

// steerForGood is steer for an action that cannot be undone: it asks, and then changes
// the version that it has shown.
func (p *process) steerForGood(ctx context.Context, s *admin.Service, sure *sure, id int64, consequence string, a order.Action) error {
	call := thisCall()
	if !sure.yes {
		var err error
		if call.IfVersion, err = p.confirmSale(ctx, s, id, consequence); err != nil {
			return err
		}
	}
	return p.steer(ctx, s, call, id, a)
}

// opener calls a function with a service.
type opener = func(func(*admin.Service) error) error

// onSale returns a command's function that gets the sale named by its argument; 0
// without one.
func onSale(open opener, run func(c *cobra.Command, s *admin.Service, id int64) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		var n order.SaleName
		if len(args) > 0 {
			var err error
			if n, err = order.ParseSaleName(args[0]); err != nil {
				return &usageError{err}
			}
		}
		return open(func(s *admin.Service) error {
			id, err := named(n, func() (int64, error) { return s.SaleID(c.Context(), n) })
			if err != nil {
				return err
			}
			return run(c, s, id)
		})
	}
}

// saleFlag is --sale, which names a sale.
type saleFlag struct{ name order.SaleName }

func (f *saleFlag) String() string { return f.name.String() }
func (f *saleFlag) Type() string   { return "sale" }
func (f *saleFlag) Set(s string) (err error) {
	f.name, err = order.ParseSaleName(s)
	return err
}

// id returns the ID of the sale; 0 if the flag was not given.
func (f *saleFlag) id(ctx context.Context, s *admin.Service) (int64, error) {
	return named(f.name, func() (int64, error) { return s.SaleFilter(ctx, f.name) })
}

func named(n order.SaleName, find func() (int64, error)) (int64, error) {
	if n == (order.SaleName{}) {
		return 0, nil
	}
	id, err := find()
	switch {
	case errors.Is(err, order.ErrNotFound):
		return 0, &noSaleError{n.String()}
	case errors.Is(err, order.ErrConflict):
		return 0, &usageError{errors.New(adminhttp.Reason(err))}
	}
	return id, err
}

// ofSale explains an error of an action on a sale.
func ofSale(id int64, err error) error {
	switch {
	case errors.Is(err, order.ErrNotFound):
		return &noSaleError{strconv.FormatInt(id, 10)}
	case errors.Is(err, order.ErrConflict):
		return errors.New(adminhttp.Reason(err))
	case errors.Is(err, order.ErrStale):
		return fmt.Errorf("sale %d was changed meanwhile, so nothing was done: look at it and give the command again (%w)", id, err)
	}
	return err
}

func (p *process) listSales(ss []order.Sale) error {
	return list(p, ss, admin.ViewSale, "ID\tEXTERNAL ID\tSTATE\tAVAILABLE\tTOTAL\tSTARTS\tENDS\tTITLE", func(s order.Sale) string {
		return fmt.Sprintf("%d\t%s\t%s\t%d\t%d\t%s\t%s\t%q", s.ID, dash(s.ExternalID), s.State, s.Available, s.Total, s.StartsAt.Format(time.RFC3339), s.EndsAt.Format(time.RFC3339), s.Title)
	})
}

// completeSales offers the newest sales that begin with what is typed. It is silent
// where MySQL is away or not configured.
func (p *process) completeSales(c *cobra.Command, typed string) (found []cobra.Completion) {
	cfg, err := p.settings("mysql_dsn")
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.Context(), completionTimeout)
	defer cancel()
	_ = app.WithMySQL(cfg, slog.New(slog.DiscardHandler), func(s *admin.Service) error { // nothing is offered then
		sales, err := s.List(ctx, 0, completedSales)
		for _, sale := range sales {
			about := fmt.Sprintf("%s, %s", plain(sale.Title), sale.State)
			names := []string{strconv.FormatInt(sale.ID, 10)}
			if sale.ExternalID != "" {
				names = append(names, externalName(sale.ExternalID))
			}
			for _, name := range names {
				if strings.HasPrefix(name, typed) {
					found = append(found, cobra.CompletionWithDesc(name, about))
				}
			}
		}
		return err
	})
	return found
}

const (
	completionTimeout = time.Second // a person waits for the key
	completedSales    = 200
)

// externalName is how an external ID is typed: with a prefix where it could be
// something else.
func externalName(external string) string {
	if n, err := order.ParseSaleName(external); err != nil || n.ID != 0 || n.External != external {
		return "ext:" + external
	}
	return external
}
