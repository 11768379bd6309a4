package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"seckill/admin"
	"seckill/order"
)

func newSalePause(p *process) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use: "pause SALE | --all", Short: "Refuse purchases until the sale is resumed; --all: in every open sale", Args: cobra.MaximumNArgs(1),
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
		sales := admin.Views(paused, func(r admin.Result) order.Sale {
			err = errors.Join(err, r.Behind)
			return r.Sale
		})
		return errors.Join(p.listSales(sales), err)
	})
}

func newSaleRestock(p *process) *cobra.Command {
	var units int
	c := &cobra.Command{
		Use: "restock SALE --units N", Short: "Add units to a sale, or remove unsold units", Args: cobra.ExactArgs(1),
		Long: `Add units to a sale; if it was sold out it sells again. A negative number removes unsold units: at most as
many as are in no order in MySQL. Pending orders for which no unit is left are rejected as sold out.`,
		RunE: withSale(func(c *cobra.Command, id int64) error {
			if units == 0 {
				return &usageError{errors.New("give --units N, which may be negative, but not 0")}
			}
			return p.steer(c.Context(), id, order.Restocking(units))
		}),
	}
	c.Flags().IntVar(&units, "units", 0, "how many units to add; negative to remove")
	return c
}

func newSaleExtendPay(p *process) *cobra.Command {
	var within, by time.Duration
	c := &cobra.Command{
		Use: "extend-pay SALE --by 30m | --pay-within 1h", Short: "Give shoppers more time to pay", Args: cobra.ExactArgs(1),
		Long: `Give shoppers more time to pay for unpaid and for future orders of a sale. It applies at once: no order is
cancelled before its new deadline, even while pay_by in the rows is still being updated.`,
		RunE: withSale(func(c *cobra.Command, id int64) error {
			if (within == 0) == (by == 0) || within < 0 || by < 0 {
				return &usageError{errors.New("give --by, the time to add, or --pay-within, the whole time")}
			}
			return p.steer(c.Context(), id, order.Extending(within, by))
		}),
	}
	c.Flags().DurationVar(&by, "by", 0, "time to add, such as 30m")
	c.Flags().DurationVar(&within, "pay-within", 0, "total time from the confirmation, such as 1h")
	return c
}

func newSaleVoid(p *process) *cobra.Command {
	return &cobra.Command{
		Use: "void SALE", Short: "End a sale and cancel all its unpaid orders, for good", Args: cobra.ExactArgs(1),
		Long: `End a sale and cancel all its unpaid orders, for example after a wrong price. There is no confirmation prompt
and no undo. The consumers cancel at a bounded rate, including orders that are confirmed later; a payment that
arrives from now on gets refund_required. Paid orders stay, the shop must refund them: ` + "`order list --sale`" + ` lists them.`,
		RunE: withSale(func(c *cobra.Command, id int64) error {
			return p.steer(c.Context(), id, order.Voiding())
		}),
	}
}

// showStatus shows a sale and its state in Redis.
func (p *process) showStatus(s admin.SaleStatus) error {
	if p.json {
		return writeJSON(p.stdout, admin.ViewStatus(s))
	}
	if err := p.showSale(s.Sale); err != nil {
		return err
	}
	m := s.Meta
	redis := fmt.Sprintf("%s, %d available, %d pending, %d settled; applied change %d of %d", m.State, m.Available, m.Pending, m.Settled, m.Applied, s.Sale.Seq)
	switch {
	case m.Err != nil:
		redis = "does not respond"
	case !m.Loaded:
		redis = "not loaded"
	}
	t := columns(p.stdout)
	fmt.Fprintf(t, "redis\t%s\n", redis)
	return t.Flush()
}
