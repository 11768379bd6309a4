package cli

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"seckill/admin"
	"seckill/order"
)

func newSaleReport(p *process) *cobra.Command {
	var lines, raw bool
	c := &cobra.Command{
		Use: "report SALE", Short: "Report units and amounts of a sale, for stock and finance; --csv: every order", Args: cobra.ExactArgs(1),
		Long: `Report a sale from MySQL: units left, orders, units and amounts by status, the same numbers as audit, and how many
shoppers have returned an order once, twice and so on: cancelled it, or did not pay in time. --csv
prints every order as a line, sorted by ID, all as of one moment, and the sums on stderr. The lines contain
shopper IDs, so each export is recorded in the audit log. They contain public IDs if SECKILL_ID_KEYS is set.

A spreadsheet keeps the digits of long IDs and leading zeros, and takes nothing for a formula, whichever of , ; and
tab it separates cells at: in order_id, public_id, shopper_id and reference a single quote is before the value, and
behind each of , ; tab and line break in it. --raw leaves these quotes out, for programs; do not open such a file
in a spreadsheet.`,
		PreRunE: func(*cobra.Command, []string) error {
			switch {
			case lines && p.json:
				return &usageError{errors.New("give --csv or --json")}
			case raw && !lines:
				return &usageError{errors.New("--raw goes with --csv")}
			}
			return nil
		},
		RunE: onSale(p.withServers, func(c *cobra.Command, s *admin.Service, id int64) error {
			if lines {
				return p.exportSale(c.Context(), s, id, raw)
			}
			r, err := s.Report(c.Context(), id)
			if err != nil {
				return ofSale(id, err)
			}
			return p.showReport(admin.ViewReport(r))
		}),
	}
	c.Flags().BoolVar(&lines, "csv", false, "print every order as a line, for spreadsheets")
	c.Flags().BoolVar(&raw, "raw", false, "with --csv: values as they are, for programs")
	return c
}

func (p *process) showReport(v admin.ReportView) error {
	if p.json {
		return writeJSON(p.stdout, v)
	}
	t := columns(p.stdout)
	fmt.Fprintf(t, "sale\t%s %s\n", v.ID, strconv.Quote(v.Title))
	fmt.Fprintf(t, "state\t%s\n", v.State)
	fmt.Fprintf(t, "price\t%s\n", money(v.PriceMinor, v.Currency))
	fmt.Fprintf(t, "units\t%d: %d sold, %d left\n", v.Total, v.LiveUnits, v.Available)
	fmt.Fprintln(t, "\tORDERS\tUNITS\tAMOUNT")
	for _, row := range []struct {
		name string
		admin.SumView
	}{{"confirmed, unpaid", v.Confirmed}, {"paid", v.Paid}, {"cancelled", v.Cancelled}, {"rejected", v.Rejected}} {
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\n", row.name, row.Orders, row.Units, money(row.AmountMinor, v.Currency))
	}
	for _, r := range v.Refunds {
		fmt.Fprintf(t, "to be refunded\t%d payments\t\t%s\n", r.Due, money(r.DueMinor, r.Currency))
		fmt.Fprintf(t, "refunded\t%d payments\t\t%s\n", r.Refunded, money(r.RefundedMinor, r.Currency))
	}
	fmt.Fprintf(t, "dead letters\t%d\n", v.DeadLetters)
	if len(v.Returns) > 0 {
		fmt.Fprintln(t, "RETURNED\tSHOPPERS\tORDERS\tUNITS")
	}
	for _, r := range v.Returns {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\n", times(r.Times), r.Shoppers, r.Orders, r.Units)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if !v.Final {
		fmt.Fprintln(p.stderr, "not final: the sale has not ended, or orders are unpaid")
	}
	return nil
}

// times says how often the shoppers of a line have returned an order.
func times(n int) string {
	switch n {
	case 1:
		return "once"
	case order.LastTimes:
		return fmt.Sprintf("%d times and more", n)
	default:
		return fmt.Sprintf("%d times", n)
	}
}

// exportSale writes every order of a sale as a line, and the sums to stderr.
func (p *process) exportSale(ctx context.Context, service *admin.Service, id int64, raw bool) error {
	sealer, err := p.sealer()
	if err != nil {
		return err
	}
	s, err := service.Sale(ctx, id)
	if err != nil {
		return ofSale(id, err)
	}
	text := inSpreadsheets
	if raw {
		text = func(s string) string { return s }
	}
	w := newCSVWriter(p.stdout)
	if err := w.Write([]string{
		"order_id", "public_id", "shopper_id", "quantity", "unit_price_minor", "amount_minor", "currency",
		"status", "reason", "reference", "reserved_at", "decided_at", "pay_by",
	}); err != nil {
		return err
	}
	r, err := service.Export(ctx, thisCall(), id, func(rs []order.Record) error {
		for _, r := range rs {
			if err := w.Write(cells(r, s.Sale.Currency, sealer, text)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return ofSale(id, err)
	}
	if w.Flush(); w.Error() != nil {
		return w.Error()
	}
	onStderr := *p
	onStderr.stdout = p.stderr
	return onStderr.showReport(admin.ViewReport(r))
}

// sealer makes public IDs; nil without the keys.
func (p *process) sealer() (*order.Sealer, error) {
	cfg, err := p.settings()
	if err != nil || len(cfg.Auth.IDKeys) == 0 {
		return nil, err
	}
	sealer, err := order.NewSealer(cfg.Auth.IDKeys...)
	if err != nil {
		return nil, &usageError{fmt.Errorf("SECKILL_ID_KEYS: %w", err)}
	}
	return sealer, nil
}

// cells returns an order as a line of the export. text writes what is an ID, or was
// chosen by a shopper; the other cells are numbers, times and words of our own.
func cells(r order.Record, currency string, sealer *order.Sealer, text func(string) string) []string {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	public := ""
	if sealer != nil {
		public = sealer.Seal(r.ID, r.SaleID, r.ShopperID)
	}
	return []string{
		text(r.ID.String()), text(public), text(r.ShopperID), strconv.Itoa(r.Quantity), number(r.UnitPrice), number(int64(r.Quantity) * r.UnitPrice), currency,
		string(r.Status), string(r.Reason), text(r.Reference), at(r.ID.Time()), at(r.DecidedAt), at(r.PayBy),
	}
}

// newCSVWriter returns a writer of lines for spreadsheets, as in RFC 4180.
func newCSVWriter(w io.Writer) *csv.Writer {
	c := csv.NewWriter(bufio.NewWriterSize(w, 64<<10))
	c.UseCRLF = true
	return c
}

// cellEnd is where a spreadsheet may see a cell end, and so another begin, if it
// separates at another character than we do and ignores our double quotes.
var cellEnd = regexp.MustCompile("[,;\t\r\n]")

// inSpreadsheets writes a value so that every spreadsheet reads it as text: a number
// would lose digits or leading zeros, and shoppers choose some of the values, which may
// be formulas. No list of what looks like a number, a date or a formula is right for
// all programs and languages, so all values get the quote that makes a cell text, at
// every place where a cell may begin. Without these quotes it is the value again.
func inSpreadsheets(value string) string {
	if value == "" {
		return ""
	}
	return "'" + cellEnd.ReplaceAllString(value, "$0'")
}
