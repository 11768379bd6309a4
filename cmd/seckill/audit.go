package main

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"seckill/order"
	"seckill/reconcile"
)

type auditReport struct {
	OK    bool                  `json:"ok"`
	Sales []reconcile.SaleAudit `json:"sales"`
}

func newAudit(p *process) *cobra.Command {
	return &cobra.Command{
		Use:   "audit [SALE]",
		Short: "Compare MySQL and Redis; exit 4 when anything does not hold",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var id int64
			if len(args) == 1 {
				var err error
				if id, err = saleArg(args); err != nil {
					return err
				}
			}
			return p.withOperator(func(o *operator) error {
				audits, err := reconcile.NewAuditor(o.b.orders, o.ledger).Audit(c.Context(), id)
				if errors.Is(err, order.ErrNotFound) {
					return &noSaleError{id}
				}
				if err != nil {
					return &dependencyError{"audit", err}
				}
				return p.showAudit(audits)
			})
		},
	}
}

func (p *process) showAudit(audits []reconcile.SaleAudit) error {
	report := auditReport{OK: true, Sales: audits}
	for _, a := range audits {
		report.OK = report.OK && len(a.Discrepancies) == 0
	}
	if p.json {
		if err := writeJSON(p.stdout, report); err != nil {
			return err
		}
	} else if err := p.writeAudit(report); err != nil {
		return err
	}
	if !report.OK {
		return &silentError{exitBroken}
	}
	return nil
}

func (p *process) writeAudit(r auditReport) error {
	t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SALE\tSTATE\tTOTAL\tAVAILABLE\tCONFIRMED\tPAID\tCANCELLED\tREJECTED\tPENDING\tDEAD LETTERS")
	for _, a := range r.Sales {
		fmt.Fprintf(t, "%d\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", a.ID, a.State, a.Total, a.Available, a.Confirmed, a.Paid, a.Cancelled, a.Rejected, a.Pending, a.DeadLetters)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, a := range r.Sales {
		for _, d := range a.Discrepancies {
			fmt.Fprintf(p.stdout, "sale %d: %s\n", a.ID, d)
		}
	}
	if r.OK {
		fmt.Fprintln(p.stdout, "ok: MySQL and Redis agree")
	}
	return nil
}
