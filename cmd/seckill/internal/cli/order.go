package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"seckill/admin"
	adminhttp "seckill/admin/http"
	"seckill/order"
)

func newOrder(p *process) *cobra.Command {
	return group("order", "Find, show and cancel orders", newOrderShow(p), newOrderList(p), newOrderCancel(p))
}

// noOrderError is an order that is in neither store.
type noOrderError struct{ id string }

func (e *noOrderError) Error() string {
	return fmt.Sprintf("order %s is neither in MySQL nor among the dead letters; to find a pending order, give --sale and --shopper", e.id)
}
func (e *noOrderError) Unwrap() error { return order.ErrNotFound }

func orderArg(s string) (order.ID, error) {
	id, err := adminhttp.ParseOrderID(s)
	if err != nil {
		return 0, &usageError{fmt.Errorf("an order ID is a decimal number, or the public ID of 32 characters, got %q", s)}
	}
	return id, nil
}

func newOrderShow(p *process) *cobra.Command {
	var sale int64
	var shopper string
	c := &cobra.Command{
		Use: "show ORDER", Short: "Show an order by its ID or public ID: in Redis, in MySQL, among the dead letters", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := orderArg(args[0])
			if err != nil {
				return err
			}
			return p.withServers(func(s *admin.Service) error {
				f, err := s.Order(c.Context(), id, sale, shopper)
				if errors.Is(err, order.ErrNotFound) {
					return &noOrderError{args[0]}
				}
				if err != nil {
					return err
				}
				return p.showOrder(admin.ViewOrder(f))
			})
		},
	}
	c.Flags().Int64Var(&sale, "sale", 0, "its sale, if it may be pending")
	c.Flags().StringVar(&shopper, "shopper", "", "its shopper, if it may be pending")
	return c
}

func (p *process) showOrder(v admin.OrderView) error {
	if p.json {
		return writeJSON(p.stdout, v)
	}
	fields := [][2]string{
		{"id", v.ID},
		{"sale", dash(v.SaleID)},
		{"shopper", dash(admin.Printable(v.ShopperID))},
		{"quantity", strconv.Itoa(v.Quantity)},
		{"reference", dash(admin.Printable(v.Reference))},
		{"status", v.Status + " " + v.Reason},
		{"amount", fmt.Sprintf("%d (minor units)", v.AmountMinor)},
		{"reserved", v.ReservedAt},
		{"decided", dash(v.DecidedAt)},
		{"pay by", dash(v.PayBy)},
		{"redis", dash(v.Redis)},
		{"dead letters", strconv.Itoa(len(v.DeadLetters))},
		{"where", dash(v.Where)},
	}
	for _, pay := range v.Payments {
		fields = append(fields, [2]string{"payment", paymentLine(pay)})
	}
	return p.listFields(fields)
}

// paymentLine says of a payment of an order what became of it.
func paymentLine(v admin.PaymentView) string {
	line := fmt.Sprintf("%s at %s, event %s: ", v.Amount, v.ReceivedAt, admin.Printable(v.EventID))
	switch {
	case v.Reason == "":
		return line + v.Outcome
	case v.RefundDue:
		return line + "TO BE REFUNDED (" + v.Reason + ")"
	default:
		return line + "refunded at " + v.RefundedAt + " (" + v.Reason + ")"
	}
}

func newOrderList(p *process) *cobra.Command {
	var q admin.OrderQuery
	var limit int
	c := &cobra.Command{
		Use: "list --sale SALE | --shopper SHOPPER", Short: "List orders, newest first: of a sale, of a shopper, with a reference", Args: cobra.NoArgs,
		Long: `List orders, newest first: of a sale, of a shopper in a sale, of a shopper in all sales that are not closed, or
those of a sale with a reference. There is no index on references: it reads all orders of the sale.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if limit < 1 || q.SaleID < 0 {
				return &usageError{errors.New("--limit and --sale are positive numbers")}
			}
			return p.withServers(func(s *admin.Service) error {
				found, err := orders(c.Context(), s, q, limit)
				if errors.Is(err, admin.ErrQuery) {
					return &usageError{errors.New("give --sale, --shopper, or both; --reference goes with --sale alone")}
				}
				if err != nil {
					return err
				}
				return list(p, found, admin.ViewOrder, "ID\tSALE\tSHOPPER\tQUANTITY\tSTATUS\tREASON\tREFERENCE\tRESERVED", orderRow)
			})
		},
	}
	c.Flags().Int64Var(&q.SaleID, "sale", 0, "only orders of this sale")
	c.Flags().StringVar(&q.Shopper, "shopper", "", "only orders of this shopper")
	c.Flags().StringVar(&q.Reference, "reference", "", "only orders with this reference")
	c.Flags().IntVar(&limit, "limit", 100, "maximum number of orders")
	return c
}

// orders reads pages until there are enough.
func orders(ctx context.Context, s *admin.Service, q admin.OrderQuery, limit int) (found []admin.FoundOrder, err error) {
	for {
		q.Limit = limit - len(found)
		page, next, err := s.Orders(ctx, q)
		if err != nil {
			return nil, err
		}
		found = append(found, page...)
		if q.Before = next; next == 0 || len(found) >= limit {
			return found[:min(len(found), limit)], nil
		}
	}
}

func orderRow(f admin.FoundOrder) string {
	v := admin.ViewOrder(f)
	return fmt.Sprintf("%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s", v.ID, v.SaleID, admin.Printable(v.ShopperID), v.Quantity,
		v.Status, dash(v.Reason), dash(admin.Printable(v.Reference)), v.ReservedAt)
}

func newOrderCancel(p *process) *cobra.Command {
	return &cobra.Command{
		Use: "cancel ORDER", Short: "Cancel a confirmed order and release its units", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := orderArg(args[0])
			if err != nil {
				return err
			}
			return p.withServers(func(s *admin.Service) error {
				done, err := s.CancelOrder(c.Context(), thisCall(), id)
				switch {
				case errors.Is(err, order.ErrNotFound):
					return &noOrderError{args[0]}
				case errors.Is(err, order.ErrConflict):
					return errors.New(adminhttp.Reason(err))
				case err != nil:
					return err
				case p.json:
					err = writeJSON(p.stdout, map[string]string{"id": id.String(), "status": string(done.Verdict.Status)})
				default:
					_, err = fmt.Fprintf(p.stdout, "order %s is %s\n", id, done.Verdict.Status)
				}
				return errors.Join(err, done.Behind)
			})
		},
	}
}
