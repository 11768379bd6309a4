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
	"seckill/internal/config"
	"seckill/order"
)

func newSaleReport(p *process) *cobra.Command {
	var lines bool
	c := &cobra.Command{
		Use: "report SALE", Short: "Report units and amounts of a sale, for stock and finance; --csv: every order", Args: cobra.ExactArgs(1),
		Long: `Report a sale from MySQL: units left, and orders, units and amounts by status, the same numbers as audit. --csv
prints every order as a line, sorted by ID, all as of one moment, and the sums on stderr. The lines contain
shopper IDs, so each export is recorded in the audit log. They contain public IDs if SECKILL_ID_KEYS is set.
A cell that a spreadsheet would read as a formula is prefixed with a single quote.`,
		RunE: withSale(func(c *cobra.Command, id int64) error {
			if lines && p.json {
				return &usageError{errors.New("give --csv or --json")}
			}
			cfg, err := p.settings(servers...)
			if err != nil {
				return err
			}
			return p.withServers(func(s *admin.Service) error {
				if lines {
					return p.exportSale(c.Context(), s, id, cfg.Auth)
				}
				r, err := s.Report(c.Context(), id)
				if err != nil {
					return ofSale(id, err)
				}
				return p.showReport(admin.ViewReport(r))
			})
		}),
	}
	c.Flags().BoolVar(&lines, "csv", false, "print every order as a line")
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
	if err := t.Flush(); err != nil {
		return err
	}
	if !v.Final {
		fmt.Fprintln(p.stderr, "not final: the sale has not ended, or orders are unpaid")
	}
	return nil
}

// exportSale writes every order of a sale as a line, and the sums to stderr.
func (p *process) exportSale(ctx context.Context, service *admin.Service, id int64, auth config.Auth) error {
	var sealer *order.Sealer
	if len(auth.IDKeys) > 0 {
		var err error
		if sealer, err = order.NewSealer(auth.IDKeys...); err != nil {
			return &usageError{fmt.Errorf("SECKILL_ID_KEYS: %w", err)}
		}
	}
	s, err := service.Sale(ctx, id)
	if err != nil {
		return ofSale(id, err)
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
			if err := w.Write(safe(cells(r, s.Sale.Currency, sealer))); err != nil {
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

// cells returns an order as a line of the export.
func cells(r order.Record, currency string, sealer *order.Sealer) []string {
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
		r.ID.String(), public, r.ShopperID, strconv.Itoa(r.Quantity), number(r.UnitPrice), number(int64(r.Quantity) * r.UnitPrice), currency,
		string(r.Status), string(r.Reason), r.Reference, at(r.ID.Time()), at(r.DecidedAt), at(r.PayBy),
	}
}

// newCSVWriter returns a writer of lines for spreadsheets, as in RFC 4180.
func newCSVWriter(w io.Writer) *csv.Writer {
	c := csv.NewWriter(bufio.NewWriterSize(w, 64<<10))
	c.UseCRLF = true
	return c
}

// formula finds what a spreadsheet would read as a formula. Where a semicolon
// separates cells, a cell may also begin behind one.
var formula = regexp.MustCompile("(^|;)([=+@\t\r\n-])")

// safe prefixes formulas with a single quote, as OWASP recommends: shoppers choose
// the text of some cells.
func safe(cells []string) []string {
	for i, cell := range cells {
		cells[i] = formula.ReplaceAllString(cell, "$1'$2")
	}
	return cells
}
