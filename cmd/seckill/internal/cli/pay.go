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
