package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"seckill/admin"
	adminhttp "seckill/admin/http"
	"seckill/order"
)

func newDeadLetters(p *process) *cobra.Command {
	return group("dead-letters", "Show and discard messages that could not be read", newDeadLettersList(p), newDeadLettersShow(p), newDeadLettersDiscard(p))
}

func newDeadLettersList(p *process) *cobra.Command {
	var sale saleFlag
	var limit int
	c := &cobra.Command{
		Use: "list", Short: "List the dead letters, newest first", Args: cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error {
			if limit < 1 {
				return &usageError{errors.New("--limit is a positive number")}
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			return p.withMySQL(func(s *admin.Service) error {
				id, err := sale.id(c.Context(), s)
				if err != nil {
					return err
				}
				return p.listDeadLetters(c.Context(), s, id, limit)
			})
		},
	}
	c.Flags().Var(&sale, "sale", "only those known to belong to this sale")
	c.Flags().IntVar(&limit, "limit", 100, "maximum number of dead letters")
	return c
}

func (p *process) listDeadLetters(ctx context.Context, s *admin.Service, saleID int64, limit int) error {
	found, err := s.DeadLetters(ctx, order.DeadLetterQuery{SaleID: saleID, Limit: limit + 1})
	if err != nil {
		return err
	}
	found = part(p, found, limit, func(order.DeadLetter) string { return fmt.Sprintf("--limit %d shows more", 10*limit) })
	return list(p, found, admin.ViewDeadLetter, "MESSAGE\tREASON\tORDER\tSALE\tSHOPPER\tWHEN\tBYTES", deadLetterRow)
}

func deadLetterRow(d order.DeadLetter) string {
	v := admin.ViewDeadLetter(d)
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%d", dash(v.MessageID), v.Reason, dash(v.OrderID), dash(v.SaleID), dash(v.ShopperID), v.CreatedAt.Format(time.RFC3339), v.Size)
}

func newDeadLettersShow(p *process) *cobra.Command {
	return &cobra.Command{
		Use: "show MESSAGE", Short: "Show a dead letter with its body; one that is an order's result by its order ID", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return p.withMySQL(func(s *admin.Service) error {
				found, err := findDeadLetters(c.Context(), s, args[0])
				if err != nil {
					return err
				}
				views := admin.Views(found, admin.ViewDeadLetterBody)
				if len(found) == order.MaxDeadLetters {
					fmt.Fprintf(p.stderr, "only the first %d are shown; `seckill dead-letters list --sale` lists more\n", order.MaxDeadLetters)
				}
				if p.json {
					return writeJSON(p.stdout, views)
				}
				for _, v := range views {
					if err := p.writeDeadLetter(v); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func (p *process) writeDeadLetter(v admin.DeadLetterView) error {
	t := columns(p.stdout)
	kind := "a message that could not be read"
	if v.Verdict {
		kind = "the result of an order that cannot have a row"
	}
	fmt.Fprintf(t, "message\t%s\nkind\t%s\nreason\t%s\ndetail\t%s\norder\t%s\nsale\t%s\nshopper\t%s\nwhen\t%s\nbytes\t%d\n",
		dash(v.MessageID), kind, v.Reason, dash(v.Detail), dash(v.OrderID), dash(v.SaleID), dash(v.ShopperID), v.CreatedAt.Format(time.RFC3339), v.Size)
	if o := v.Decoded; o != nil {
		fmt.Fprintf(t, "holds\torder %s, sale %s, shopper %s, slot %d, quantity %d, key %s, reference %q\n", o.OrderID, o.SaleID, o.ShopperID, o.Slot, o.Quantity, dash(o.Key), o.Reference)
	} else if v.Size > 0 {
		fmt.Fprintln(t, "holds\tno order that this version can read")
	}
	if err := t.Flush(); err != nil {
		return err
	}
	body, err := hex.DecodeString(v.Body)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.stdout, hex.Dump(body))
	return err
}

func newDeadLettersDiscard(p *process) *cobra.Command {
	c := &cobra.Command{
		Use: "discard MESSAGE", Short: "Delete a message that could not be read, for good; results of orders stay", Args: cobra.ExactArgs(1),
		Long: `Delete a message that could not be read. Its order, if it has one, does not need it: the sweeper settles every
order whose message is unreadable. A dead letter that is itself the result of an order (its message ID is
empty) is never deleted.`,
	}
	sure := p.confirmed(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return p.withMySQL(func(s *admin.Service) error {
			if !sure.yes {
				found, err := findDeadLetters(c.Context(), s, args[0])
				if err != nil {
					return err
				}
				if err := p.confirm(c.Context(), discarded(found), "The messages are deleted.\nThis cannot be undone. Type discard to do it", "discard"); err != nil {
					return err
				}
			}
			return p.discard(c.Context(), s, args[0])
		})
	}
	return c
}

// discarded are the facts of what is to be discarded.
func discarded(found []order.DeadLetter) (facts [][2]string) {
	for _, v := range admin.Views(found, admin.ViewDeadLetter) {
		if !v.Verdict {
			facts = append(facts, [2]string{"message " + dash(v.MessageID), fmt.Sprintf("%s, order %s, sale %s, shopper %s, %s, %d bytes",
				v.Reason, dash(v.OrderID), dash(v.SaleID), dash(v.ShopperID), v.CreatedAt.Format(time.RFC3339), v.Size)})
		}
	}
	return facts
}

func (p *process) discard(ctx context.Context, s *admin.Service, name string) error {
	n, err := s.Discard(ctx, thisCall(), admin.ParseMessageID(name))
	switch {
	case errors.Is(err, order.ErrNotFound):
		return &noDeadLetterError{admin.Printable(admin.ParseMessageID(name))}
	case errors.Is(err, order.ErrConflict):
		return errors.New(adminhttp.Reason(err))
	case err != nil:
		return err
	case p.json:
		return writeJSON(p.stdout, map[string]int{"discarded": n})
	}
	_, err = fmt.Fprintf(p.stdout, "discarded %d\n", n)
	return err
}

// noDeadLetterError is a dead letter that does not exist.
type noDeadLetterError struct{ name string }

func (e *noDeadLetterError) Error() string {
	return fmt.Sprintf("there is no dead letter %s; `seckill dead-letters list` lists them", e.name)
}
func (e *noDeadLetterError) Unwrap() error { return order.ErrNotFound }

func findDeadLetters(ctx context.Context, s *admin.Service, name string) ([]order.DeadLetter, error) {
	found, err := s.DeadLetter(ctx, admin.ParseMessageID(name))
	if errors.Is(err, order.ErrNotFound) {
		return nil, &noDeadLetterError{admin.Printable(admin.ParseMessageID(name))}
	}
	return found, err
}
