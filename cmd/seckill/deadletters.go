package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"seckill/admin"
	"seckill/admin/http"
	"seckill/order"
	"seckill/order/mysql"
)

func newDeadLetters(p *process) *cobra.Command {
	c := &cobra.Command{
		Use: "dead-letters", Short: "Look at messages that could not be read", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newLettersList(p), newLettersShow(p), newLettersDiscard(p))
	return c
}

func newLettersList(p *process) *cobra.Command {
	var sale int64
	var limit int
	c := &cobra.Command{
		Use: "list", Short: "List the dead letters, newest first", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if limit < 1 || sale < 0 {
				return &usageError{errors.New("--limit and --sale are positive numbers")}
			}
			return p.withLetters(func(s *admin.Service) error {
				letters, err := s.DeadLetters(c.Context(), sale, limit)
				if err != nil {
					return err
				}
				return p.listLetters(letters)
			})
		},
	}
	c.Flags().Int64Var(&sale, "sale", 0, "only those known to be of this sale")
	c.Flags().IntVar(&limit, "limit", 100, "at most so many")
	return c
}

func (p *process) listLetters(letters []order.DeadLetter) error {
	views := make([]admin.LetterView, len(letters))
	for i, d := range letters {
		views[i] = admin.ViewLetter(d)
	}
	if p.json {
		return writeJSON(p.stdout, views)
	}
	t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "MESSAGE\tREASON\tORDER\tSALE\tSHOPPER\tWHEN\tBYTES")
	for _, v := range views {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%d\n", dash(v.MessageID), v.Reason, dash(v.OrderID), dash(v.SaleID), dash(v.ShopperID), v.CreatedAt.Format(time.RFC3339), v.Size)
	}
	return t.Flush()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func newLettersShow(p *process) *cobra.Command {
	return &cobra.Command{
		Use: "show MESSAGE", Short: "Show a dead letter with its body; a verdict by its order's ID", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return p.withLetters(func(s *admin.Service) error {
				letters, err := findLetters(c.Context(), s, args[0])
				if err != nil {
					return err
				}
				views := make([]admin.LetterView, len(letters))
				for i, d := range letters {
					views[i] = admin.ViewWhole(d)
				}
				if len(letters) == order.MaxDeadLetters {
					fmt.Fprintf(p.stderr, "the first %d; `seckill dead-letters list --sale` has more of this name, if there are any\n", order.MaxDeadLetters)
				}
				if p.json {
					return writeJSON(p.stdout, views)
				}
				for _, v := range views {
					if err := p.writeLetter(v); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func (p *process) writeLetter(v admin.LetterView) error {
	t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	kind := "a message that could not be read"
	if v.Verdict {
		kind = "the verdict on an order that can have no row"
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

func newLettersDiscard(p *process) *cobra.Command {
	return &cobra.Command{
		Use: "discard MESSAGE", Short: "Delete a message that could not be read; verdicts stay", Args: cobra.ExactArgs(1),
		Long: `Delete a message that could not be read. Its order, if it was one, does not depend on it: the sweeper
ends every order whose message is unreadable. A dead letter that is itself the verdict on an order
(an empty message ID) is never deleted.`,
		RunE: func(c *cobra.Command, args []string) error {
			return p.withLetters(func(s *admin.Service) error {
				n, err := s.Discard(c.Context(), thisCall(), admin.ParseMessageID(args[0]))
				switch {
				case errors.Is(err, order.ErrNotFound):
					return &noLetterError{admin.Printable(admin.ParseMessageID(args[0]))}
				case errors.Is(err, order.ErrConflict):
					return errors.New(adminhttp.Reason(err))
				case err != nil:
					return err
				case p.json:
					return writeJSON(p.stdout, map[string]int{"discarded": n})
				}
				_, err = fmt.Fprintf(p.stdout, "discarded %d\n", n)
				return err
			})
		},
	}
}

// noLetterError is a dead letter that does not exist.
type noLetterError struct{ name string }

func (e *noLetterError) Error() string {
	return fmt.Sprintf("there is no dead letter %s (any more); `seckill dead-letters list` names them", e.name)
}
func (e *noLetterError) Unwrap() error { return order.ErrNotFound }

func findLetters(ctx context.Context, s *admin.Service, name string) ([]order.DeadLetter, error) {
	found, err := s.Letter(ctx, admin.ParseMessageID(name))
	if errors.Is(err, order.ErrNotFound) {
		return nil, &noLetterError{admin.Printable(admin.ParseMessageID(name))}
	}
	return found, err
}

// withLetters runs a command on MySQL alone.
func (p *process) withLetters(fn func(*admin.Service) error) error {
	cfg, err := p.settings("mysql_dsn")
	if err != nil {
		return err
	}
	cfg.LogLevel, cfg.LogFormat = "warn", "text"
	db, err := openDB(cfg.MySQL)
	if err != nil {
		return err
	}
	defer db.Close()
	log := p.logger(cfg)
	store := mysql.NewStore(db, log)
	return fn(admin.New(admin.Options{Sales: store, AuditLog: store, Letters: store, Log: log}))
}
