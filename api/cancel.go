package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"seckill/internal/problem"
	"seckill/order"
)

// cancel answers POST /v1/orders/{id}/cancel: a shopper takes a confirmed order
// back. Once it is cancelled, the same call again answers the same.
func (s *Server) cancel(c echo.Context) error {
	w, r := c.Response(), c.Request()
	shopper, err := s.shopper(r)
	if err != nil {
		return err
	}
	public := c.Param("id")
	id, saleID, err := s.Sealer.Open(public, shopper)
	if err != nil {
		return problem.New(notFound, nil)
	}
	if err := readObject(r, nil, nil); err != nil { // a body that says anything is refused
		return err
	}
	if !s.paying.enter() {
		return problem.New(overloaded, nil)
	}
	defer s.paying.leave()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), payWithin)
	defer cancel()
	v, err := s.takeBack(ctx, order.Order{ID: id, SaleID: saleID, ShopperID: shopper})
	if err != nil {
		return err
	}
	s.writeOrder(w, r, http.StatusOK, &v, public, s.age(id))
	return nil
}

// takeBack cancels an order and returns what it has become.
func (s *Server) takeBack(ctx context.Context, o order.Order) (view, error) {
	v, err := s.look(ctx, &pursuit{Order: o})
	if err != nil || v.status == order.StatusCancelled {
		return v, err
	}
	if err := uncancellable(v.status, v.reason); err != nil {
		return v, err
	}
	if s.Till == nil {
		return v, problem.New(dependencyDown, errors.New("no till"))
	}
	d, err := s.Till.Cancel(ctx, o.ID)
	switch {
	case errors.Is(err, order.ErrConflict): // paid a moment ago
		return v, uncancellable(d.Status, d.Reason)
	case err != nil:
		return v, problem.New(dependencyDown, err)
	}
	return s.decidedView(ctx, d)
}

// uncancellable is the error for an order that cannot be cancelled.
func uncancellable(st order.Status, reason order.Reason) error {
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
