package cli

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"seckill/admin"
	"seckill/order"
)

func newSalePause(p *process) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use: "pause SALE | --all", Short: "Refuse purchases until the sale is resumed; --all: of every open sale", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if all == (len(args) == 1) {
				return &usageError{errors.New("give the sale to pause, or --all")}
			}
			if all {
				return p.pauseAll(c.Context())
			}
			id, err := saleArg(args)
			if err != nil {
				return err
			}
			pause, _ := admin.Moves("pause")
			return p.steer(c.Context(), id, pause)
		},
	}
	c.Flags().BoolVar(&all, "all", false, "every sale that is open")
	return c
}

func (p *process) pauseAll(ctx context.Context) error {
	return p.withServers(func(s *admin.Service) error {
		paused, err := s.PauseAll(ctx, thisCall())
		sales := make([]order.Sale, len(paused))
		views := make([]admin.SaleView, len(paused))
		for i, r := range paused {
			sales[i], views[i] = r.Sale, admin.ViewSale(r.Sale)
			err = errors.Join(err, r.Behind)
		}
		if p.json {
			return errors.Join(writeJSON(p.stdout, views), err)
		}
		return errors.Join(listSales(p.stdout, sales), err)
	})
}

func newSaleRestock(p *process) *cobra.Command {
	var units int
	c := &cobra.Command{
		Use: "restock SALE --units N", Short: "Add units to a sale, or take unsold ones from it", Args: cobra.ExactArgs(1),
		Long: `Add units to what a sale sells; it sells again when it was sold out. A negative number takes unsold
units away: as many as are in no order, by MySQL. What is reserved at that moment and does not fit any
more is rejected as sold out.`,
		RunE: func(c *cobra.Command, args []string) error {
			id, err := saleArg(args)
			if err != nil {
				return err
			}
			if units == 0 {
				return &usageError{errors.New("give --units N, which may be negative, but not 0")}
			}
			return p.steer(c.Context(), id, order.Restocking(units))
		},
	}
	c.Flags().IntVar(&units, "units", 0, "how many")
	return c
}

func newSaleExtendPay(p *process) *cobra.Command {
	var within, by time.Duration
	c := &cobra.Command{
		Use: "extend-pay SALE --by 30m | --pay-within 1h", Short: "Give the shoppers of a sale more time to pay", Args: cobra.ExactArgs(1),
		Long: `Give the shoppers of a sale more time to pay, whose orders are unpaid now and those to come. It holds at
once: no order is cancelled before its new time, also while the rows' pay_by is still being moved.`,
		RunE: func(c *cobra.Command, args []string) error {
			id, err := saleArg(args)
			if err != nil {
				return err
			}
			if (within == 0) == (by == 0) || within < 0 || by < 0 {
				return &usageError{errors.New("give --by, the time to add, or --pay-within, the whole time")}
			}
			return p.steer(c.Context(), id, order.Extending(within, by))
		},
	}
	c.Flags().DurationVar(&by, "by", 0, "time to add, such as 30m")
	c.Flags().DurationVar(&within, "pay-within", 0, "the whole time from the confirmation on, such as 1h")
	return c
}

func newSaleVoid(p *process) *cobra.Command {
	return &cobra.Command{
		Use: "void SALE", Short: "End a sale and cancel all its unpaid orders, for good", Args: cobra.ExactArgs(1),
		Long: `End a sale and cancel all its unpaid orders: the night of the wrong price. It asks nothing, and there is
no way back. The consumers cancel at a bounded rate, also what is confirmed late; money that comes from now
on is answered refund_required. Paid orders stay: they are the shop's to refund, ` + "`order list --sale`" + ` lists them.`,
		RunE: func(c *cobra.Command, args []string) error {
			id, err := saleArg(args)
			if err != nil {
				return err
			}
			return p.steer(c.Context(), id, order.Voiding())
		},
	}
}

// showStatus shows a sale with what Redis says of it.
func (p *process) showStatus(s admin.SaleStatus) error {
	if p.json {
		return writeJSON(p.stdout, admin.ViewStatus(s))
	}
	if err := p.showSale(s.Sale); err != nil {
		return err
	}
	m := s.Meta
	redis := fmt.Sprintf("%s, %d available, %d pending, %d settled; knows change %d of %d", m.State, m.Available, m.Pending, m.Settled, m.Applied, s.Sale.Seq)
	switch {
	case m.Err != nil:
		redis = "cannot be asked"
	case !m.Loaded:
		redis = "not loaded"
	}
	t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "redis\t%s\n", redis)
	return t.Flush()
}
