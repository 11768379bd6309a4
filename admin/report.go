package admin

import (
	"context"
	"fmt"
	"strconv"

	"seckill/order"
)

// reports adds up the orders of a sale.
type reports interface {
	Report(ctx context.Context, saleID int64, page func([]order.Record) error) (order.Report, error)
}

// Report adds up a sale, all as of one moment, from MySQL alone. It reads every
// row: not for a hot path. The errors are order.ErrNotFound and *UnavailableError.
func (s *Service) Report(ctx context.Context, saleID int64) (order.Report, error) {
	r, err := s.reports.Report(ctx, saleID, nil)
	return r, fault(err)
}

// Export is Report, and passes every order of the sale to page, by ID, some
// thousand at a time. It has personal data: the audit log records the export. An
// error of page ends it and is returned.
func (s *Service) Export(ctx context.Context, c Call, saleID int64, page func([]order.Record) error) (order.Report, error) {
	_, err := ask(ctx, func(ctx context.Context) (bool, error) {
		if _, err := s.sales.Sale(ctx, saleID); err != nil {
			return false, err
		}
		return s.auditLog.Note(ctx, order.AuditEntry{By: c.By, Action: "export", SaleID: saleID, Target: fmt.Sprintf("sale %d", saleID), Command: c.Command})
	})
	if err != nil {
		return order.Report{}, err
	}
	var stopped error
	r, err := s.reports.Report(ctx, saleID, func(rs []order.Record) error {
		stopped = page(rs)
		return stopped
	})
	s.log.InfoContext(ctx, "operator", "actor", c.By.Name, "action", "export", "sale_id", saleID, "command", c.Command, "done", err == nil)
	if stopped != nil {
		return r, stopped
	}
	return r, fault(err)
}

// ReportView is the JSON of a report. Available units are in no live order.
type ReportView struct {
	ID          string         `json:"id"`
	ExternalID  string         `json:"external_id,omitempty"`
	Title       string         `json:"title"`
	SKU         string         `json:"sku"`
	State       string         `json:"state"`
	PriceMinor  int64          `json:"price_minor"`
	Currency    string         `json:"currency"`
	Price       string         `json:"price"` // as people write it: ¥99.00
	Total       int64          `json:"total"`
	Available   int64          `json:"available"`
	LiveUnits   int64          `json:"live_units"` // sold: confirmed and paid
	Confirmed   SumView        `json:"confirmed"`  // and not paid yet
	Paid        SumView        `json:"paid"`
	Cancelled   SumView        `json:"cancelled"`
	Rejected    SumView        `json:"rejected"`
	Returns     []ReturnedView `json:"returns"` // shoppers by how often they returned an order
	Refunds     []RefundView   `json:"refunds"` // payments that pay no order, by currency
	DeadLetters int64          `json:"dead_letters"`
	Final       bool           `json:"final"` // ended, and nothing is unpaid: only refunds are still to come
}

// ReturnedView is the JSON of the shoppers who returned a number of confirmed orders:
// cancelled them, or did not pay in time. Times 10 stands for 10 and more.
type ReturnedView struct {
	Times    int   `json:"times"`
	Shoppers int64 `json:"shoppers"`
	Orders   int64 `json:"orders"` // of these shoppers
	Units    int64 `json:"units"`
}

// SumView is the JSON of a sum of orders.
type SumView struct {
	Orders      int64  `json:"orders"`
	Units       int64  `json:"units"`
	AmountMinor int64  `json:"amount_minor"`
	Amount      string `json:"amount"` // as people write it
}

// RefundView is the JSON of payments that pay no order: those that are due to be
// refunded, and those that were.
type RefundView struct {
	Currency      string `json:"currency"`
	Due           int64  `json:"due"`
	DueMinor      int64  `json:"due_minor"`
	Refunded      int64  `json:"refunded"`
	RefundedMinor int64  `json:"refunded_minor"`
}

// ViewReport returns the JSON of r.
func ViewReport(r order.Report) ReportView {
	s := r.Sale
	sum := func(status order.Status) SumView {
		return SumView{r.Orders[status], r.Units[status], r.Amounts[status], order.Money(r.Amounts[status], s.Currency)}
	}
	returns := make([]ReturnedView, len(r.Returns))
	for i, t := range r.Returns {
		returns[i] = ReturnedView(t)
	}
	ended := s.State == order.SaleEnded || s.State == order.SaleClosed
	return ReportView{
		ID: strconv.FormatInt(s.ID, 10), ExternalID: s.ExternalID, Title: s.Title, SKU: s.SKU, State: string(s.State), PriceMinor: s.PriceMinor, Currency: s.Currency, Price: order.Money(s.PriceMinor, s.Currency),
		Total: int64(s.Total), Available: int64(s.Available), LiveUnits: r.LiveUnits,
		Confirmed: sum(order.StatusConfirmed), Paid: sum(order.StatusPaid), Cancelled: sum(order.StatusCancelled), Rejected: sum(order.StatusRejected),
		Returns: returns, Refunds: Views(r.Refunds, func(s order.RefundSum) RefundView { return RefundView(s) }),
		DeadLetters: r.DeadLetters, Final: ended && r.Orders[order.StatusConfirmed] == 0,
	}
}
