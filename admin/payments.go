package admin

import (
	"context"

	"seckill/order"
)

// payments reads recorded payments and marks refunds.
type payments interface {
	Payments(ctx context.Context, q order.PaymentQuery) ([]order.PaymentRecord, error)
	Refunded(ctx context.Context, by order.Operator, cmd, event string) (order.PaymentRecord, error)
}

// Payments returns recorded payments, newest first. The error is order.ErrNotFound if
// there is no payment q.Before.
func (s *Service) Payments(ctx context.Context, q order.PaymentQuery) ([]order.PaymentRecord, error) {
	return ask(ctx, func(ctx context.Context) ([]order.PaymentRecord, error) { return s.payments.Payments(ctx, q) })
}

// Refunded records that the shop has returned the money of a payment; again, it changes
// nothing. The errors are order.ErrNotFound, and order.ErrConflict for a payment that
// paid its order.
func (s *Service) Refunded(ctx context.Context, c Call, event string) (order.PaymentRecord, error) {
	p, err := ask(ctx, func(ctx context.Context) (order.PaymentRecord, error) {
		return s.payments.Refunded(ctx, c.By, c.Command, event)
	})
	if err == nil {
		s.log.InfoContext(ctx, "operator", "actor", c.By.Name, "action", "refunded", "event_id", event, "order_id", p.OrderID, "command", c.Command)
	}
	return p, err
}

// PaymentView is the JSON of a recorded payment.
type PaymentView struct {
	EventID     string `json:"event_id"`
	OrderID     string `json:"order_id"`
	SaleID      string `json:"sale_id,omitempty"`
	ShopperID   string `json:"shopper_id,omitempty"`
	AmountMinor int64  `json:"amount_minor"`
	Amount      string `json:"amount"` // as people write it
	Currency    string `json:"currency"`
	Outcome     string `json:"outcome"`
	Reason      string `json:"reason,omitempty"` // why it is to be refunded
	RefundDue   bool   `json:"refund_due"`       // and nobody has said that it was
	ReceivedAt  string `json:"received_at"`
	RefundedAt  string `json:"refunded_at,omitempty"`
}

// ViewPayment returns the JSON of p.
func ViewPayment(p order.PaymentRecord) PaymentView {
	v := PaymentView{
		EventID: p.EventID, OrderID: p.OrderID.String(), SaleID: FormatID(max(0, p.SaleID)), ShopperID: p.ShopperID,
		AmountMinor: p.AmountMinor, Amount: order.Money(p.AmountMinor, p.Currency), Currency: p.Currency,
		Outcome: string(p.Outcome), Reason: string(p.Reason), RefundDue: p.RefundDue(), ReceivedAt: timestamp(p.ReceivedAt),
	}
	if !p.RefundedAt.IsZero() {
		v.RefundedAt = timestamp(p.RefundedAt)
	}
	return v
}
