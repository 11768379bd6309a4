package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"seckill/admin"
	adminhttp "seckill/admin/http"
	"seckill/order"
)

func newSale(p *process) *cobra.Command {
	return group("sale", "Create, change and watch sales",
		newSaleCreate(p), newSaleList(p), newSaleShow(p),
		newSaleMove(p, "open", "Load a sale into Redis now; it sells within its window"),
		newSalePause(p),
		newSaleMove(p, "resume", "Let a paused sale sell again"),
		newSaleMove(p, "end", "End a sale: purchases are refused for good, pending orders still get their result"),
		newSaleRestock(p), newSaleExtendPay(p), newSaleVoid(p), newSaleWatch(p), newSaleReport(p),
	)
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
	c := &cobra.Command{
		Use: "list", Short: "List the sales that are not closed, newest first", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.withServers(func(s *admin.Service) error {
				ss, err := listed(c.Context(), s, all)
				if err != nil {
					return err
				}
				return p.listSales(ss)
			})
		},
	}
	c.Flags().BoolVar(&all, "all", false, "also closed ones; the newest 1,000 in all")
	return c
}

func listed(ctx context.Context, s *admin.Service, all bool) ([]order.Sale, error) {
	if all {
		return s.List(ctx, 0, 1000)
	}
	return s.Current(ctx)
}

func newSaleShow(p *process) *cobra.Command {
	return &cobra.Command{
		Use: "show SALE", Short: "Show a sale, in MySQL and in Redis", Args: cobra.ExactArgs(1),
		RunE: withSale(func(c *cobra.Command, id int64) error {
			return p.withServers(func(s *admin.Service) error {
				sale, err := s.Sale(c.Context(), id)
				if err != nil {
					return ofSale(id, err)
				}
				return p.showStatus(sale)
			})
		}),
	}
}

// newSaleMove returns the command for an action without arguments.
func newSaleMove(p *process, name, short string) *cobra.Command {
	return &cobra.Command{
		Use: name + " SALE", Short: short, Args: cobra.ExactArgs(1),
		RunE: withSale(func(c *cobra.Command, id int64) error {
			action, _ := admin.Moves(name)
			return p.steer(c.Context(), id, action)
		}),
	}
}

// steer applies an action to a sale and shows the sale.
func (p *process) steer(ctx context.Context, id int64, a order.Action) error {
	return p.withServers(func(s *admin.Service) error {
		done, err := s.Act(ctx, thisCall(), id, a)
		if err := errors.Join(ofSale(id, err), done.Behind); done.Sale.ID == 0 || err != nil {
			return err
		}
		return p.showSale(done.Sale)
	})
}

// withSale returns a command's function that gets the ID in its argument; 0 without one.
func withSale(run func(c *cobra.Command, id int64) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return run(c, 0)
		}
		id, err := saleArg(args)
		if err != nil {
			return err
		}
		return run(c, id)
	}
}

func saleArg(args []string) (int64, error) {
	id, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil || id <= 0 {
		return 0, &usageError{fmt.Errorf("a sale's ID is a decimal number, got %q", args[0])}
	}
	return id, nil
}

// ofSale explains an error of an action on a sale.
func ofSale(id int64, err error) error {
	switch {
	case errors.Is(err, order.ErrNotFound):
		return &noSaleError{id}
	case errors.Is(err, order.ErrConflict):
		return errors.New(adminhttp.Reason(err))
	}
	return err
}

func (p *process) listSales(ss []order.Sale) error {
	return list(p, ss, admin.ViewSale, "ID\tSTATE\tAVAILABLE\tTOTAL\tSTARTS\tENDS\tTITLE", func(s order.Sale) string {
		return fmt.Sprintf("%d\t%s\t%d\t%d\t%s\t%s\t%q", s.ID, s.State, s.Available, s.Total, s.StartsAt.Format(time.RFC3339), s.EndsAt.Format(time.RFC3339), s.Title)
	})
}
