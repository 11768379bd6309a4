package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"seckill/order"
)

func newDeadLetters(p *process) *cobra.Command {
	c := &cobra.Command{
		Use: "dead-letters", Short: "Look at messages that could not be read", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newLettersList(p), newLettersShow(p), newLettersDiscard(p))
	return c
}

// graveyard is what only these commands ask of the store.
type graveyard interface {
	DeadLetters(ctx context.Context, saleID int64, limit int) ([]order.DeadLetter, error)
	Letters(ctx context.Context, name string) ([]order.DeadLetter, error)
	Discard(ctx context.Context, d order.DeadLetter) error
}

// letterView is a dead letter as a program reads it. A message ID of bytes that
// are no text is quoted, as Go does; the commands take it so.
type letterView struct {
	MessageID string     `json:"message_id"`
	OrderID   string     `json:"order_id,omitempty"`
	SaleID    string     `json:"sale_id,omitempty"`
	ShopperID string     `json:"shopper_id,omitempty"`
	Reason    string     `json:"reason"`
	Verdict   bool       `json:"verdict"`
	CreatedAt time.Time  `json:"created_at"`
	Size      int        `json:"size"`
	Detail    string     `json:"detail,omitempty"`
	Body      string     `json:"body_hex,omitempty"`
	Decoded   *orderView `json:"decoded,omitempty"`
}

// orderView is the order that a body holds.
type orderView struct {
	OrderID   string `json:"order_id"`
	SaleID    string `json:"sale_id"`
	ShopperID string `json:"shopper_id"`
	Slot      int    `json:"slot"`
	Quantity  int    `json:"quantity"`
	Key       string `json:"key,omitempty"`
	Reference string `json:"reference,omitempty"`
}

func viewLetter(d order.DeadLetter) letterView {
	return letterView{
		MessageID: printable(d.MessageID), OrderID: number(int64(d.OrderID)), SaleID: number(d.SaleID),
		ShopperID: printable(d.ShopperID), Reason: printable(d.Reason), Verdict: d.Verdict(),
		CreatedAt: d.CreatedAt, Size: len(d.Body),
	}
}

// viewWhole is d with all that it holds.
func viewWhole(d order.DeadLetter) letterView {
	v := viewLetter(d)
	v.Detail, v.Body = printable(d.Detail), hex.EncodeToString(d.Body)
	if o, err := order.DecodeMessage(d.Body); err == nil {
		v.Decoded = &orderView{o.ID.String(), number(o.SaleID), o.ShopperID, o.Slot, o.Quantity, "", o.Reference}
		if o.Key != 0 {
			v.Decoded.Key = fmt.Sprintf("%016x", o.Key)
		}
	}
	return v
}

func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// printable quotes what would do harm to a terminal or is no text.
func printable(s string) string {
	if q := strconv.QuoteToASCII(s); q != `"`+s+`"` {
		return q
	}
	return s
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
			return p.withLetters(func(g graveyard) error {
				var letters []order.DeadLetter
				err := askMySQL(c.Context(), func(ctx context.Context) (err error) {
					letters, err = g.DeadLetters(ctx, sale, limit)
					return err
				})
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
	views := make([]letterView, len(letters))
	for i, d := range letters {
		views[i] = viewLetter(d)
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
			return p.withLetters(func(g graveyard) error {
				letters, err := findLetters(c.Context(), g, args[0])
				if err != nil {
					return err
				}
				views := make([]letterView, len(letters))
				for i, d := range letters {
					views[i] = viewWhole(d)
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

func (p *process) writeLetter(v letterView) error {
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
			return p.withLetters(func(g graveyard) error {
				letters, err := findLetters(c.Context(), g, args[0])
				if err != nil {
					return err
				}
				return p.discard(c.Context(), g, letters)
			})
		},
	}
}

func (p *process) discard(ctx context.Context, g graveyard, letters []order.DeadLetter) error {
	discarded := 0
	for _, d := range letters {
		if d.Verdict() {
			continue
		}
		err := askMySQL(ctx, func(ctx context.Context) error { return g.Discard(ctx, d) })
		if err != nil && !errors.Is(err, order.ErrNotFound) { // somebody else was quicker
			return err
		}
		discarded++
	}
	if discarded == 0 {
		return fmt.Errorf("the dead letter is the verdict on order %d (%s): polls and the sweeper read it, it stays", letters[0].OrderID, letters[0].Reason)
	}
	if p.json {
		return writeJSON(p.stdout, map[string]int{"discarded": discarded})
	}
	_, err := fmt.Fprintf(p.stdout, "discarded %d\n", discarded)
	return err
}

// noLetterError is a dead letter that does not exist.
type noLetterError struct{ name string }

func (e *noLetterError) Error() string {
	return fmt.Sprintf("there is no dead letter %s (any more); `seckill dead-letters list` names them", e.name)
}
func (e *noLetterError) Unwrap() error { return order.ErrNotFound }

func findLetters(ctx context.Context, g graveyard, name string) ([]order.DeadLetter, error) {
	if raw, err := strconv.Unquote(name); err == nil && name[0] == '"' {
		name = raw // as `list` prints what is no plain text
	}
	var found []order.DeadLetter
	err := askMySQL(ctx, func(ctx context.Context) (err error) { found, err = g.Letters(ctx, name); return err })
	if err == nil && len(found) == 0 {
		err = &noLetterError{printable(name)}
	}
	return found, err
}

// withLetters runs a command on MySQL alone.
func (p *process) withLetters(fn func(graveyard) error) error {
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
	return fn(order.NewStore(db, p.logger(cfg)))
}
