package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"seckill/internal/problem"
	"seckill/internal/webhook"
	"seckill/order"
)

// payWithin bounds the work on one payment or cancellation, which goes on when
// the caller has left: what it did is then answered to the same call again.
const payWithin = 5 * time.Second

// payInflight bounds the payments and cancellations under way; the pool of
// connections is much smaller.
const payInflight = 256

// payment answers POST /v1/payments: the provider says that money came for an
// order. Everything that is not paid or to be refunded, for good, is an error:
// the provider tries again.
func (s *Server) payment(c echo.Context) error {
	w, r := c.Response(), c.Request()
	if len(s.PaymentSecrets) == 0 || s.Till == nil {
		return problem.New(paymentsOff, nil)
	}
	p, err := s.readPayment(r)
	if err != nil {
		return err
	}
	if !s.paying.enter() {
		return problem.New(overloaded, nil)
	}
	defer s.paying.leave()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), payWithin)
	defer cancel()
	if p.OrderID, err = s.orderOf(ctx, p.ref); err != nil {
		return err
	}
	receipt, err := s.Till.Pay(ctx, p.Payment)
	if err != nil {
		return s.unpaid(ctx, p, err)
	}
	s.Metrics.payments.WithLabelValues(string(receipt.Outcome)).Inc()
	if receipt.Outcome == order.OutcomeRefundRequired {
		s.Log.WarnContext(ctx, "payment to be refunded", "event_id", p.EventID, "order_id", p.OrderID, "order_status", receipt.Verdict.Status)
	}
	w.Header()["Cache-Control"] = noStore
	writeJSON(w, http.StatusOK, []byte(`{"outcome":"`+string(receipt.Outcome)+`"}`))
	return nil
}

// unpaid maps what the till refuses.
func (s *Server) unpaid(ctx context.Context, p payment, err error) error {
	switch {
	case errors.Is(err, order.ErrAmount):
		s.Metrics.payments.WithLabelValues("wrong_amount").Inc()
		s.Log.WarnContext(ctx, "payment of a wrong amount", "event_id", p.EventID, "order_id", p.OrderID,
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

// payment is what a callback says; ref is its order as it was written.
type payment struct {
	order.Payment

	ref string
}

// readPayment reads a callback and believes it only if it is signed and new.
func (s *Server) readPayment(r *http.Request) (payment, error) {
	cb, err := webhook.Parse(r.Header, s.Catalog.Now())
	if err != nil {
		return payment{}, forged(err)
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
	if !cb.SignedWith(s.PaymentSecrets, body) {
		return payment{}, forged(errors.New("no secret made the signature"))
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

func forged(cause error) *problem.Failure {
	return &problem.Failure{Type: signatureInvalid, Cause: cause, Challenge: "Webhook", Close: true}
}

// orderOf finds the order that a callback names: by its public ID, which the
// shop got from the shopper, or by the decimal one, which operators have.
func (s *Server) orderOf(ctx context.Context, ref string) (order.ID, error) {
	if id, err := order.ParseID(ref); err == nil {
		return id, nil
	}
	id, err := order.PeekPublicID(ref)
	if err != nil {
		return 0, problem.New(notFound, nil)
	}
	r, err := s.Lookup.Get(ctx, id)
	switch {
	case errors.Is(err, order.ErrNotFound):
		return 0, problem.New(notFound, nil)
	case err != nil:
		return 0, problem.New(dependencyDown, err)
	}
	if own, _, err := s.Sealer.Open(ref, r.ShopperID); err != nil || own != id {
		return 0, problem.New(notFound, nil)
	}
	return id, nil
}
