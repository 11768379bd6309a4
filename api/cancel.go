package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"seckill/internal/problem"
	"seckill/order"
)

// cancel answers POST /v1/orders/{id}/cancel: a shopper cancels a confirmed
// order. The same call again gets the same answer.
func (s *Server) cancel(c echo.Context) error {
	w, r := c.Response(), c.Request()
	shopper, err := s.shopper(r)
	if err != nil {
		return err
	}
	public := c.Param("id")
	id, saleID, err := s.sealer.Open(public, shopper)
	if err != nil {
		return problem.New(notFound, nil)
	}
	if err := readObject(r, nil, nil); err != nil { // it has no fields
		return err
	}
	if !s.cancels.enter(shopper) {
		return tooOften(time.Second)
	}
	defer s.cancels.leave(shopper)
	if !s.cancelling.enter() {
		return problem.New(overloaded, nil)
	}
	defer s.cancelling.leave()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), payTimeout)
	defer cancel()
	v, err := s.cancelOrder(ctx, order.Order{ID: id, SaleID: saleID, ShopperID: shopper})
	if err != nil {
		return err
	}
	s.writeOrder(w, r, http.StatusOK, &v, public, s.age(id))
	return nil
}

// cancelOrder cancels an order and returns its new status.
func (s *Server) cancelOrder(ctx context.Context, o order.Order) (view, error) {
	v, err := s.orderStatus(ctx, &statusQuery{Order: o})
	if err != nil || v.status == order.StatusCancelled {
		return v, err
	}
	if err := notCancellable(v.status, v.reason); err != nil {
		return v, err
	}
	if s.payments == nil {
		return v, problem.New(dependencyDown, errors.New("no payment service"))
	}
	d, err := s.payments.Cancel(ctx, o.ID)
	switch {
	case errors.Is(err, order.ErrConflict): // paid a moment ago
		return v, notCancellable(d.Status, d.Reason)
	case err != nil:
		return v, problem.New(dependencyDown, err)
	}
	return s.decidedView(ctx, d)
}

// notCancellable returns why an order cannot be cancelled; nil if it can.
func notCancellable(st order.Status, reason order.Reason) error {
	switch st {
	case order.StatusPending:
		return problem.New(orderPending, nil)
	case order.StatusPaid:
		return problem.New(orderPaid, nil)
	case order.StatusRejected:
		return problem.New(rejection(reason), nil)
	default:
		return nil
	}
}
