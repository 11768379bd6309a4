package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"seckill/internal/denial"
	"seckill/internal/problem"
	"seckill/internal/webhook"
	"seckill/order"
)

// payTimeout bounds one payment or cancellation. It goes on when the caller
// leaves: the same call again gets its result.
const payTimeout = 5 * time.Second

// pay answers POST /v1/payments, the provider's payment callback. Only a payment
// that is booked or to be refunded is a success: after any other answer the
// provider sends it again.
func (s *Server) pay(c echo.Context) error {
	w, r := c.Response(), c.Request()
	if len(s.paymentSecrets) == 0 || s.payments == nil {
		return problem.New(paymentsOff, nil)
	}
	p, err := s.readPayment(r)
	if f, ok := errors.AsType[*problem.Failure](err); ok && f.Type == signatureInvalid {
		s.addresses.Take(s.address(r))
	}
	if err != nil {
		return err
	}
	if !s.paying.enter() {
		return problem.New(overloaded, nil)
	}
	defer s.paying.leave()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), payTimeout)
	defer cancel()
	if p.OrderID, err = s.orderOf(ctx, p.ref); err != nil {
		return err
	}
	receipt, err := s.payments.Pay(ctx, p.Payment)
	if err != nil {
		return s.paymentFailure(ctx, p, err)
	}
	s.metrics.payments.WithLabelValues(string(receipt.Outcome)).Inc()
	if receipt.Outcome == order.OutcomeRefundRequired {
		s.log.WarnContext(ctx, "payment to be refunded", "event_id", p.EventID, "order_id", p.OrderID, "reason", receipt.Reason, "order_status", receipt.Verdict.Status)
	}
	w.Header()["Cache-Control"] = noStore
	writeJSON(w, http.StatusOK, []byte(`{"outcome":"`+string(receipt.Outcome)+`"}`))
	return nil
}

// paymentFailure maps what the payment service refuses.
func (s *Server) paymentFailure(ctx context.Context, p payment, err error) error {
	switch {
	case errors.Is(err, order.ErrAmount):
		s.metrics.payments.WithLabelValues("wrong_amount").Inc()
		s.log.WarnContext(ctx, "payment of a wrong amount", "event_id", p.EventID, "order_id", p.OrderID,
			"amount_minor", p.AmountMinor, "currency", p.Currency)
		return problem.New(wrongAmount, nil)
	case errors.Is(err, order.ErrConflict):
		return problem.New(eventReused, nil)
	case errors.Is(err, order.ErrNotFound):
		return problem.New(notFound, nil)
	default:
		return problem.New(dependencyDown, err)
	}
}

// payment is the content of a callback; ref is its order as it was sent.
type payment struct {
	order.Payment

	ref string
}

// readPayment reads a callback and accepts it only if it is signed and recent.
func (s *Server) readPayment(r *http.Request) (payment, error) {
	cb, err := webhook.Parse(r.Header, s.catalog.Now())
	if errors.Is(err, webhook.ErrTime) {
		return payment{}, signatureFailure("time", err)
	}
	if err != nil {
		return payment{}, signatureFailure("header", err)
	}
	if err := checkMedia(r); err != nil {
		return payment{}, err
	}
	buf, _ := bodies.Get().(*bodyBuffer)
	defer bodies.Put(buf)
	body, err := buf.read(r)
	if err != nil {
		return payment{}, err
	}
	if !cb.SignedWith(s.paymentSecrets, body) {
		return payment{}, signatureFailure("signature", nil)
	}
	p, err := decodePayment(body)
	if err != nil {
		return payment{}, undecodable(err)
	}
	p.EventID = cb.EventID
	var bad []problem.Field
	if p.ref == "" {
		bad = append(bad, problem.Field{Pointer: "/order_id", Detail: "is required: the order's ID"})
	}
	probe := p.Payment
	probe.OrderID, probe.AmountMinor = 1, 0
	if probe.Validate() != nil {
		bad = append(bad, problem.Field{Pointer: "/currency", Detail: "must be three capital letters (ISO 4217)"})
	}
	if p.AmountMinor < 0 {
		bad = append(bad, problem.Field{Pointer: "/amount_minor", Detail: "is required: the amount in the currency's minor unit"})
	}
	if bad != nil {
		return payment{}, &problem.Failure{Type: validation, Fields: bad}
	}
	return p, nil
}

func signatureFailure(cause string, err error) *problem.Failure {
	return &problem.Failure{Type: signatureInvalid, Cause: denial.New(denial.Payment, cause, err), Challenge: "Webhook", Close: true}
}

// paymentDenials are the causes for which callbacks are refused that were not found to
// be forged, by problem.
var paymentDenials = map[*problem.Type]string{
	malformedJSON: "body", unexpectedField: "body", validation: "body", tooLarge: "body", unsupportedMedia: "body", requestTimeout: "body",
	notFound: "order_unknown", eventReused: "event_reused", wrongAmount: "wrong_amount", rateLimited: "rate_limited",
}

// paymentDenial returns the cause for which a callback was refused; nil if our own
// trouble is the cause.
func paymentDenial(f *problem.Failure) error {
	if cause, ok := paymentDenials[f.Type]; ok {
		return denial.New(denial.Payment, cause, nil)
	}
	return f.Cause
}

// orderOf finds the order that a callback names: by its public ID, which the shop
// has from the shopper, or by the decimal one, which operators have.
func (s *Server) orderOf(ctx context.Context, ref string) (order.ID, error) {
	if id, err := order.ParseID(ref); err == nil {
		return id, nil
	}
	id, err := order.PeekPublicID(ref)
	if err != nil {
		return 0, problem.New(notFound, nil)
	}
	r, err := s.lookup.Get(ctx, id)
	switch {
	case errors.Is(err, order.ErrNotFound):
		return 0, problem.New(notFound, nil)
	case err != nil:
		return 0, problem.New(dependencyDown, err)
	}
	if own, _, err := s.sealer.Open(ref, r.ShopperID); err != nil || own != id {
		return 0, problem.New(notFound, nil)
	}
	return id, nil
}
