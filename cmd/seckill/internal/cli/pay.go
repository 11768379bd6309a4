package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"seckill/admin"
	adminhttp "seckill/admin/http"
	"seckill/internal/webhook"
	"seckill/order"
)

// paymentBody is the body of a payment.
type paymentBody struct {
	OrderID     string `json:"order_id"`
	AmountMinor int64  `json:"amount_minor"`
	Currency    string `json:"currency"`
}

func newPay(p *process) *cobra.Command {
	var url, event string
	var pay paymentBody
	c := &cobra.Command{
		Use:   "pay ORDER",
		Short: "Sign and send a payment, as the payment provider would",
		Long: `Sign and send a payment of an order, as the payment provider would. ORDER is the public or the decimal ID. The
first secret of SECKILL_PAYMENT_SECRETS signs. Sent again with the same --event it is the same payment.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := p.settings("payment_secrets")
			if err != nil {
				return err
			}
			if !c.Flags().Changed("amount") {
				return &usageError{errors.New("give the amount paid with --amount, in the currency's minor unit: amount_minor of the order")}
			}
			if event == "" {
				event = "evt_" + rand.Text()
			}
			if !order.ValidEventID(event) {
				return &usageError{errors.New("an event ID is 1-128 printable ASCII bytes")}
			}
			if url == "" {
				url = "http://" + cfg.Listen
			}
			pay.OrderID = args[0]
			return p.pay(c.Context(), url, cfg.API.PaymentSecrets[0], event, pay)
		},
	}
	c.Flags().StringVar(&url, "url", "", "address of an API; the default is http:// and SECKILL_LISTEN")
	c.Flags().Int64Var(&pay.AmountMinor, "amount", 0, "amount paid, in the currency's minor unit")
	c.Flags().StringVar(&pay.Currency, "currency", "CNY", "currency of the amount")
	c.Flags().StringVar(&event, "event", "", "event ID; random by default")
	return c
}

const payTimeout = 10 * time.Second

// pay sends a payment and prints its outcome.
func (p *process) pay(ctx context.Context, url string, secret []byte, event string, pay paymentBody) error {
	ctx, cancel := context.WithTimeout(ctx, payTimeout)
	defer cancel()
	body, err := json.Marshal(pay)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/payments", bytes.NewReader(body))
	if err != nil {
		return &usageError{err}
	}
	now := time.Now()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(webhook.HeaderEventID, event)
	req.Header.Set(webhook.HeaderTimestamp, strconv.FormatInt(now.Unix(), 10))
	req.Header.Set(webhook.HeaderSignature, webhook.Sign(secret, event, now, body))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return &dependencyError{"api", err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil {
		return &dependencyError{"api", err}
	}
	return p.paid(resp.StatusCode, text, event)
}

// paid shows the response of the API.
func (p *process) paid(status int, text []byte, event string) error {
	var answer struct {
		Outcome string `json:"outcome"`
		Code    string `json:"code"`
		Detail  string `json:"detail"`
	}
	_ = json.Unmarshal(text, &answer) // a response that is not JSON is not from this API
	switch {
	case status == http.StatusOK && p.json:
		return writeJSON(p.stdout, map[string]string{"outcome": answer.Outcome, "event_id": event})
	case status == http.StatusOK:
		_, err := fmt.Fprintln(p.stdout, answer.Outcome)
		return err
	case status == http.StatusNotFound && answer.Code != "":
		return fmt.Errorf("there is no such order, or it has no result yet: %w", order.ErrNotFound)
	case status >= http.StatusInternalServerError:
		return &dependencyError{"api", fmt.Errorf("%d %s: %s", status, answer.Code, answer.Detail)}
	default:
		return fmt.Errorf("not paid: %d %s: %s", status, answer.Code, answer.Detail)
	}
}

func newPayments(p *process) *cobra.Command {
	return group("payments", "List recorded payments, and mark what was refunded", newPaymentsList(p), newPaymentsRefunded(p))
}

func newPaymentsList(p *process) *cobra.Command {
	var q order.PaymentQuery
	var sale saleFlag
	c := &cobra.Command{
		Use: "list", Short: "List recorded payments, newest first; --refund-required: whose money is yet to be returned", Args: cobra.NoArgs,
		Long: `List recorded payments, newest first. With --refund-required only those that pay no order and are not marked as
refunded. REASON says why: cancelled (also because it was not paid in time), rejected, paid (by another payment),
voided (its sale was) or wrong_amount. A payment of a wrong amount leaves the list when the provider sends it again
with the right one; every other one when it was marked with ` + "`payments refunded`" + `.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if q.Limit < 1 {
				return &usageError{errors.New("--limit is a positive number")}
			}
			return p.withMySQL(func(s *admin.Service) error {
				id, err := sale.id(c.Context(), s)
				if err != nil {
					return err
				}
				q.SaleID = id
				more := q
				more.Limit++ // to know whether there are more
				found, err := s.Payments(c.Context(), more)
				switch {
				case errors.Is(err, order.ErrNotFound):
					return &noPaymentError{q.Before}
				case err != nil:
					return err
				case len(found) > q.Limit:
					found = found[:q.Limit]
					fmt.Fprintf(p.stderr, "only the newest %d are shown; --before %s shows the next\n", q.Limit, admin.Printable(found[q.Limit-1].EventID))
				}
				return list(p, found, admin.ViewPayment, "EVENT\tORDER\tSALE\tSHOPPER\tAMOUNT\tOUTCOME\tREASON\tRECEIVED\tREFUNDED", paymentRow)
			})
		},
	}
	c.Flags().BoolVar(&q.RefundDue, "refund-required", false, "only those that are yet to be refunded")
	c.Flags().Var(&sale, "sale", "only payments of orders of this sale")
	c.Flags().StringVar(&q.ShopperID, "shopper", "", "only payments of this shopper's orders")
	c.Flags().StringVar(&q.Before, "before", "", "only payments older than that of this event")
	c.Flags().IntVar(&q.Limit, "limit", 100, "maximum number of payments")
	return c
}

func paymentRow(r order.PaymentRecord) string {
	v := admin.ViewPayment(r)
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", admin.Printable(v.EventID), v.OrderID, dash(v.SaleID), dash(admin.Printable(v.ShopperID)), v.Amount,
		v.Outcome, dash(v.Reason), v.ReceivedAt, dash(v.RefundedAt))
}

func newPaymentsRefunded(p *process) *cobra.Command {
	return &cobra.Command{
		Use: "refunded EVENT", Short: "Mark a payment as refunded, after you have returned the money", Args: cobra.ExactArgs(1),
		Long: `Mark a payment as refunded, by its event ID. This program returns no money: do that first, with the payment
provider. Marked again, it changes nothing. It is in the audit log. A payment that paid its order cannot be marked.`,
		RunE: func(c *cobra.Command, args []string) error {
			return p.withMySQL(func(s *admin.Service) error {
				r, err := s.Refunded(c.Context(), thisCall(), args[0])
				switch {
				case errors.Is(err, order.ErrNotFound):
					return &noPaymentError{args[0]}
				case errors.Is(err, order.ErrConflict):
					return errors.New(adminhttp.Reason(err))
				case err != nil:
					return err
				case p.json:
					return writeJSON(p.stdout, admin.ViewPayment(r))
				}
				v := admin.ViewPayment(r)
				_, err = fmt.Fprintf(p.stdout, "payment %s of order %s, %s, was refunded at %s\n", admin.Printable(v.EventID), v.OrderID, money(r.AmountMinor, r.Currency), v.RefundedAt)
				return err
			})
		},
	}
}

// noPaymentError is a payment that does not exist.
type noPaymentError struct{ event string }

func (e *noPaymentError) Error() string {
	return fmt.Sprintf("there is no payment with the event ID %s; `seckill payments list` lists them", admin.Printable(e.event))
}
func (e *noPaymentError) Unwrap() error { return order.ErrNotFound }
