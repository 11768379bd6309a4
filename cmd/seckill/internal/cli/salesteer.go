package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"seckill/admin"
	adminhttp "seckill/admin/http"
	"seckill/order"
)

func newSaleOpen(p *process) *cobra.Command {
	return &cobra.Command{
		Use: "open SALE", Short: "Load a sale into Redis now; it sells within its window", Args: cobra.ExactArgs(1),
		RunE: onSale(p.withServers, func(c *cobra.Command, s *admin.Service, id int64) error {
			return p.steer(c.Context(), s, thisCall(), id, moving("open"))
		}),
	}
}

func newSaleEnd(p *process) *cobra.Command {
	c := &cobra.Command{
		Use: "end SALE", Short: "End a sale: purchases are refused for good, pending orders still get their result", Args: cobra.ExactArgs(1),
	}
	sure := p.confirmed(c)
	c.RunE = onSale(p.withServers, func(c *cobra.Command, s *admin.Service, id int64) error {
		return p.steerForGood(c.Context(), s, sure, id, "The sale ends now: nobody can buy any more. Unpaid orders can still be paid.", moving("end"))
	})
	return c
}

// moving is the action of that name, which exists.
func moving(name string) order.Action {
	a, _ := admin.Moves(name)
	return a
}

// newSaleMoveAll returns the command for an action on one sale or on all.
func newSaleMoveAll(p *process, name, short, which string) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use: name + " SALE | --all", Short: short, Args: cobra.MaximumNArgs(1),
		PreRunE: func(_ *cobra.Command, args []string) error {
			if all == (len(args) == 1) {
				return &usageError{fmt.Errorf("give the sale to %s, or --all", name)}
			}
			return nil
		},
		RunE: onSale(p.withServers, func(c *cobra.Command, s *admin.Service, id int64) error {
			if all {
				return p.moveAll(c.Context(), s, name)
			}
			return p.steer(c.Context(), s, thisCall(), id, moving(name))
		}),
	}
	c.Flags().BoolVar(&all, "all", false, which+"; one that fails does not stop the others")
	return c
}

// outcomeView is what became of a sale in an action on all.
type outcomeView struct {
	admin.SaleView

	Outcome string `json:"outcome"` // done, failed; or behind: done, and Redis will know it later
	Error   string `json:"error,omitempty"`
}

func viewOutcome(o admin.Outcome) outcomeView {
	v := outcomeView{admin.ViewResult(o.Result), "done", ""}
	switch {
	case o.Err != nil:
		v.Outcome, v.Error, v.InForce = "failed", o.Err.Error(), nil
	case o.Behind != nil:
		v.Outcome, v.Error = "behind", o.Behind.Error()
	}
	return v
}

// moveAll shows what became of each sale. The error joins those of all.
func (p *process) moveAll(ctx context.Context, s *admin.Service, name string) error {
	outcomes, err := s.MoveAll(ctx, thisCall(), name)
	if err != nil {
		return err
	}
	shown := list(p, outcomes, viewOutcome, "ID\tEXTERNAL ID\tSTATE\tOUTCOME\tTITLE", func(o admin.Outcome) string {
		v := viewOutcome(o)
		return fmt.Sprintf("%s\t%s\t%s\t%s\t%q", v.ID, dash(v.ExternalID), v.State, v.Outcome, v.Title)
	})
	errs := []error{shown}
	for _, o := range outcomes {
		errs = append(errs, o.Err, o.Behind)
	}
	return errors.Join(errs...)
}

func newSaleRestock(p *process) *cobra.Command {
	var units int
	sure := &sure{}
	c := &cobra.Command{
		Use: "restock SALE --units N", Short: "Add units to a sale, or remove unsold units", Args: cobra.ExactArgs(1),
		Long: `Add units to a sale; if it was sold out it sells again. A negative number removes unsold units: at most as
many as are in no order in MySQL. Pending orders for which no unit is left are rejected as sold out, for good,
so it asks before it removes any.`,
		PreRunE: func(c *cobra.Command, _ []string) error {
			if units == 0 {
				return &usageError{errors.New("give --units N, which may be negative, but not 0")}
			}
			if units < 0 {
				return p.mayAsk(c, sure)
			}
			return nil
		},
		RunE: onSale(p.withServers, func(c *cobra.Command, s *admin.Service, id int64) error {
			if units > 0 {
				return p.steer(c.Context(), s, thisCall(), id, order.Restocking(units))
			}
			return p.steerForGood(c.Context(), s, sure, id, fmt.Sprintf("%d unsold units are removed. Pending orders that need them are rejected.", -units), order.Restocking(units))
		}),
	}
	c.Flags().BoolVar(&sure.yes, "yes", false, "do not ask; required to remove units without a terminal, and with --json")
	c.Flags().IntVar(&units, "units", 0, "how many units to add; negative to remove")
	return c
}

func newSaleExtendPay(p *process) *cobra.Command {
	var within, by time.Duration
	c := &cobra.Command{
		Use: "extend-pay SALE --by 30m | --pay-within 1h", Short: "Give shoppers more time to pay", Args: cobra.ExactArgs(1),
		Long: `Give shoppers more time to pay for unpaid and for future orders of a sale. It applies at once: no order is
cancelled before its new deadline, even while pay_by in the rows is still being updated. The time never becomes
shorter again.`,
		PreRunE: func(*cobra.Command, []string) error {
			if (within == 0) == (by == 0) || within < 0 || by < 0 {
				return &usageError{errors.New("give --by, the time to add, or --pay-within, the whole time")}
			}
			return nil
		},
	}
	sure := p.confirmed(c)
	c.RunE = onSale(p.withServers, func(c *cobra.Command, s *admin.Service, id int64) error {
		return p.steerForGood(c.Context(), s, sure, id, extended(within, by), order.Extending(within, by))
	})
	c.Flags().DurationVar(&by, "by", 0, "time to add, such as 30m")
	c.Flags().DurationVar(&within, "pay-within", 0, "total time from the confirmation, such as 1h")
	return c
}

func extended(within, by time.Duration) string {
	if by != 0 {
		return fmt.Sprintf("Shoppers get %s more to pay.", by)
	}
	return fmt.Sprintf("Shoppers get %s to pay.", within)
}

func newSaleVoid(p *process) *cobra.Command {
	c := &cobra.Command{
		Use: "void SALE", Short: "End a sale and cancel all its unpaid orders, for good", Args: cobra.ExactArgs(1),
		Long: `End a sale and cancel all its unpaid orders, for example after a wrong price. It asks first: there is no
undo. The consumers cancel at a bounded rate, including orders that are confirmed later; a payment that
arrives from now on gets refund_required. Paid orders stay, the shop must refund them: ` + "`order list --sale`" + ` lists them.`,
	}
	sure := p.confirmed(c)
	c.RunE = onSale(p.withServers, func(c *cobra.Command, s *admin.Service, id int64) error {
		return p.steerForGood(c.Context(), s, sure, id, "The sale ends now, and every unpaid order is cancelled. Paid orders stay: you refund them.", order.Voiding())
	})
	return c
}

// patchFlags are the fields of a sale that can change, each with a flag of that name.
var patchFlags = []struct{ field, usage string }{
	{"title", "title"},
	{"sku", "SKU"},
	{"external_id", "the shop's own name for it; empty for none"},
	{"price_minor", "price of a unit, in the currency's minor unit"},
	{"currency", "currency, a code of ISO 4217"},
	{"starts_at", "start of the window, with its time zone, such as 2030-01-01T12:00:00+08:00"},
	{"ends_at", "end of the window, with its time zone"},
	{"orders_per_shopper", "live orders that a shopper may hold"},
	{"units_per_order", "units that an order may have"},
	{"pay_within", "time to pay, such as 15m; once the sale is open see extend-pay"},
	{"require_permit", "whether a purchase needs a permit: true or false"},
	{"require_claim", "claim that a token needs: name, or name=value; empty for none"},
}

func flagOf(field string) string { return strings.ReplaceAll(field, "_", "-") }

// saleUpdate is what `sale update` is told.
type saleUpdate struct {
	patch        order.SalePatch
	ifVersion    uint64
	dry, unusual bool
}

func newSaleUpdate(p *process) *cobra.Command {
	var u saleUpdate
	c := &cobra.Command{
		Use: "update SALE --FIELD VALUE …", Short: "Change a sale, and show each field before and after", Args: cobra.ExactArgs(1),
		Long: `Change a sale, and show each field before and after. Values are as in the file of create. What shoppers were
promised is fixed once the sale is open: price, limits and time to pay; the window once it has ended. Stock
changes with restock. If the sale is changed by somebody else meanwhile, nothing is done.`,
		Example: `  seckill sale update drop-7 --price-minor 8900 --ends-at 2030-01-01T14:00:00+08:00 --dry-run`,
		PreRunE: func(c *cobra.Command, _ []string) (err error) {
			u.patch, err = patchOf(c.Flags())
			if err != nil {
				return &usageError{err}
			}
			return nil
		},
		RunE: onSale(p.withServers, func(c *cobra.Command, s *admin.Service, id int64) error {
			return p.update(c.Context(), s, id, u)
		}),
	}
	for _, f := range patchFlags {
		c.Flags().String(flagOf(f.field), "", f.usage)
	}
	c.Flags().Uint64Var(&u.ifVersion, "if-version", 0, "only if the sale has this version; 0: the one that is shown")
	c.Flags().BoolVar(&u.dry, "dry-run", false, "show what would change, and change nothing")
	c.Flags().BoolVar(&u.unusual, "allow-unusual", false, "change it even if the result is seldom intended, such as a price of 0")
	return c
}

// patchOf reads the flags as the operators' API reads JSON.
func patchOf(flags *pflag.FlagSet) (order.SalePatch, error) {
	values := map[string]json.RawMessage{}
	for _, f := range patchFlags {
		flag := flags.Lookup(flagOf(f.field))
		if !flag.Changed {
			continue
		}
		value, err := jsonOf(f.field, flag.Value.String(), false)
		if err != nil {
			return order.SalePatch{}, err
		}
		values[f.field] = value
	}
	if len(values) == 0 {
		return order.SalePatch{}, errors.New("give what is to change, such as --title or --ends-at")
	}
	text, err := json.Marshal(values)
	if err != nil {
		return order.SalePatch{}, err
	}
	patch, err := adminhttp.DecodePatch(text)
	return patch, located(err, nowhere)
}

func nowhere(string) int { return 0 }

func (p *process) update(ctx context.Context, s *admin.Service, id int64, u saleUpdate) error {
	read, err := s.Sale(ctx, id)
	if err != nil {
		return ofSale(id, err)
	}
	call, now := thisCall(), read.Sale
	call.IfVersion = now.Version
	if u.ifVersion != 0 {
		call.IfVersion = u.ifVersion
	}
	next, action := now, order.Changing(u.patch)
	if _, err := (order.Operation{By: call.By, IfVersion: call.IfVersion, Action: action}).Do(&next); err != nil {
		if _, bad := errors.AsType[*order.FieldError](err); bad {
			return &usageError{located(err, nowhere)}
		}
		return ofSale(id, err)
	}
	if ds := newDoubts(now, next); len(ds) > 0 && !u.unusual {
		return &usageError{fmt.Errorf("nothing was changed. Is this intended? If so, add --allow-unusual:\n%s", strings.Join(ds, "\n"))}
	}
	if !p.json {
		if err := p.showChanges(now, next); err != nil {
			return err
		}
	}
	if u.dry {
		if p.json {
			return p.showSale(next)
		}
		_, err := fmt.Fprintln(p.stdout, "dry run: nothing was changed")
		return err
	}
	done, err := s.Act(ctx, call, id, action)
	if err := errors.Join(ofSale(id, err), done.Behind); err != nil {
		return err
	}
	if p.json {
		return p.showSale(done.Sale)
	}
	_, err = fmt.Fprintf(p.stdout, "sale %d has version %d\n", id, done.Sale.Version)
	return err
}

// newDoubts are the doubts about a sale that it gets by a change.
func newDoubts(before, after order.Sale) []string {
	at := time.Now()
	old := doubts(before, at)
	return slices.DeleteFunc(doubts(after, at), func(d string) bool { return slices.Contains(old, d) })
}

// showChanges shows each field that a change changes, before and after.
func (p *process) showChanges(before, after order.Sale) error {
	var changed [][2]string
	old := saleFields(before)
	for i, f := range saleFields(after) {
		if f != old[i] && f[0] != "version" {
			changed = append(changed, [2]string{f[0], dash(old[i][1]) + " -> " + dash(f[1])})
		}
	}
	if changed == nil {
		changed = [][2]string{{"nothing changes", ""}}
	}
	return p.listFields(changed)
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
