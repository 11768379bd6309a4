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
	var sale saleFlag
	var shopper string
	c := &cobra.Command{
		Use: "show ORDER", Short: "Show an order by its ID or public ID: in Redis, in MySQL, among the dead letters", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := orderArg(args[0])
			if err != nil {
				return err
			}
			return p.withServers(func(s *admin.Service) error {
				saleID, err := sale.id(c.Context(), s)
				if err != nil {
					return err
				}
				f, err := s.Order(c.Context(), id, saleID, shopper)
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
	c.Flags().Var(&sale, "sale", "its sale, if it may be pending")
	c.Flags().StringVar(&shopper, "shopper", "", "its shopper, if it may be pending")
	return c
}

func (p *process) showOrder(v admin.OrderView) error {
	if p.json {
		return writeJSON(p.stdout, v)
	}
	return p.listFields(orderFields(v))
}

// orderFields are the fields of an order for people.
func orderFields(v admin.OrderView) [][2]string {
	amount := fmt.Sprintf("%d (minor units)", v.AmountMinor)
	if v.Sale != nil {
		amount = money(v.AmountMinor, v.Sale.Currency)
	}
	fields := [][2]string{
		{"id", v.ID},
		{"sale", dash(v.SaleID)},
		{"shopper", dash(admin.Printable(v.ShopperID))},
		{"quantity", strconv.Itoa(v.Quantity)},
		{"reference", dash(admin.Printable(v.Reference))},
		{"status", v.Status + " " + v.Reason},
		{"amount", amount},
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
	return fields
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
	var sale saleFlag
	var before string
	var limit int
	c := &cobra.Command{
		Use: "list --sale SALE | --shopper SHOPPER", Short: "List orders, newest first: of a sale, of a shopper, with a reference", Args: cobra.NoArgs,
		Long: `List orders, newest first: of a sale, of a shopper in a sale, of a shopper in all sales that are not closed, or
those of a sale with a reference. There is no index on references: it reads all orders of the sale.`,
		PreRunE: func(*cobra.Command, []string) (err error) {
			if limit < 1 {
				return &usageError{errors.New("--limit is a positive number")}
			}
			if before != "" {
				q.Before, err = orderArg(before)
			}
			return err
		},
		RunE: func(c *cobra.Command, _ []string) error {
			return p.withServers(func(s *admin.Service) (err error) {
				if q.SaleID, err = sale.id(c.Context(), s); err != nil {
					return err
				}
				return p.listOrders(c.Context(), s, q, limit)
			})
		},
	}
	c.Flags().Var(&sale, "sale", "only orders of this sale")
	c.Flags().StringVar(&q.Shopper, "shopper", "", "only orders of this shopper")
	c.Flags().StringVar(&q.Reference, "reference", "", "only orders with this reference")
	c.Flags().StringVar(&before, "before", "", "only orders before this one")
	c.Flags().IntVar(&limit, "limit", 100, "maximum number of orders")
	return c
}

func (p *process) listOrders(ctx context.Context, s *admin.Service, q admin.OrderQuery, limit int) error {
	found, err := orders(ctx, s, q, limit+1)
	if errors.Is(err, admin.ErrQuery) {
		return &usageError{errors.New("give --sale, --shopper, or both; --reference goes with --sale alone")}
	}
	if err != nil {
		return err
	}
	found = part(p, found, limit, func(last admin.FoundOrder) string {
		return fmt.Sprintf("`--before %s` shows those after them, --limit more at once", last.Order.ID)
	})
	return list(p, found, admin.ViewOrder, "ID\tSALE\tSHOPPER\tQUANTITY\tSTATUS\tREASON\tREFERENCE\tRESERVED", orderRow)
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
	c := &cobra.Command{
		Use: "cancel ORDER", Short: "Cancel a confirmed order and release its units, for good", Args: cobra.ExactArgs(1),
	}
	sure := p.confirmed(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		id, err := orderArg(args[0])
		if err != nil {
			return err
		}
		return p.withServers(func(s *admin.Service) error {
			if !sure.yes {
				if err := p.confirmCancel(c.Context(), s, args[0], id); err != nil {
					return err
				}
			}
			return p.cancel(c.Context(), s, args[0], id)
		})
	}
	return c
}

func (p *process) confirmCancel(ctx context.Context, s *admin.Service, typed string, id order.ID) error {
	f, err := s.Order(ctx, id, 0, "")
	if errors.Is(err, order.ErrNotFound) {
		return &noOrderError{typed}
	}
	if err != nil {
		return err
	}
	fields := orderFields(admin.ViewOrder(f))
	if f.Sale != nil {
		fields = append(fields, [2]string{"title", plain(f.Sale.Sale.Title)})
	}
	return p.confirm(ctx, fields, "The order is cancelled, and its units are for sale again.\nThis cannot be undone. Type the ID of the order to do it", typed, id.String())
}

func (p *process) cancel(ctx context.Context, s *admin.Service, typed string, id order.ID) error {
	done, err := s.CancelOrder(ctx, thisCall(), id)
	switch {
	case errors.Is(err, order.ErrNotFound):
		return &noOrderError{typed}
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
}
