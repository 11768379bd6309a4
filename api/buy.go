package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"seckill/catalog"
	"seckill/internal/failpoint"
	"seckill/internal/problem"
	"seckill/order"
	"seckill/stock"
)

// ErrBacklog is what a gate returns when too many orders wait to be settled.
var ErrBacklog = errors.New("api: too many orders waiting")

const (
	// acceptTimeout bounds reservation and send together. They go on when the
	// shopper leaves: what is reserved must be sent.
	acceptTimeout = 5 * time.Second
	urgentTimeout = time.Second
)

// buy answers POST /v1/sales/{id}/orders. The checks stand in order of cost.
func (s *Server) buy(c echo.Context) error {
	w, r := c.Response(), c.Request()
	sale, err := s.onSale(r.Context(), c.Param("id"))
	if err != nil {
		return err
	}
	shopper, err := s.buyer(r, sale)
	if err != nil {
		return err
	}
	permitAt, err := s.checkPermit(r, sale, shopper)
	if err != nil {
		return err
	}
	p, err := readPurchase(r, sale)
	if err != nil {
		return err
	}
	if !s.buying.enter() {
		return problem.New(overloaded, nil)
	}
	defer s.buying.leave()
	if err := s.checkGate(r.Context(), sale.ID); err != nil {
		return err
	}
	id, err := s.ids.Next()
	if err != nil {
		return notReserved(err)
	}
	o := order.Order{ID: id, SaleID: sale.ID, ShopperID: shopper, Quantity: p.quantity, Key: p.key, Reference: p.reference}
	return s.accept(w, r, sale, stock.Purchase{Order: o, Attempts: sale.AttemptsPerShopper, PermitAt: permitAt})
}

// onSale finds the sale of a purchase in the local copy, unless the copy refuses
// the purchase. An unknown ID reaches no store.
func (s *Server) onSale(ctx context.Context, param string) (*catalog.Snapshot, error) {
	id, ok := parseSaleID(param)
	if !ok {
		return nil, noSuchSale()
	}
	sale, err := s.findSale(ctx, id)
	if err != nil {
		return nil, err
	}
	now := s.catalog.Now()
	if kind, refused := refusalOf(sale, now); refused {
		return nil, kind.failure(sale, now)
	}
	return sale, nil
}

// findSale returns a sale of the local copy, which is refreshed at most once a
// second for all unknown IDs together.
func (s *Server) findSale(ctx context.Context, id int64) (*catalog.Snapshot, error) {
	if !s.catalog.Ready() {
		return nil, problem.New(dependencyDown, nil)
	}
	if sale, ok := s.catalog.Get(id); ok {
		return sale, nil
	}
	// Requests that come during a refresh wait for it, so their number is bounded.
	if !s.finding.enter() {
		return nil, problem.New(overloaded, nil)
	}
	defer s.finding.leave()
	s.catalog.Known(ctx, id)
	if sale, ok := s.catalog.Get(id); ok {
		return sale, nil
	}
	return nil, noSuchSale()
}

// checkGate refuses while the orders could not be carried on: before anything is
// deducted, so that shoppers lose nothing.
func (s *Server) checkGate(ctx context.Context, saleID int64) error {
	if s.gate == nil {
		return nil
	}
	switch err := s.gate(ctx, saleID); {
	case err == nil:
		return nil
	case errors.Is(err, ErrBacklog):
		return problem.New(backlog, nil)
	default: // the breaker logs it once; requests need not
		return notReserved(nil)
	}
}

// accept reserves the units, sends the order and answers.
func (s *Server) accept(w http.ResponseWriter, r *http.Request, sale *catalog.Snapshot, p stock.Purchase) error {
	ctx, o := s.accepting.of(r.Context()), p.Order
	got, err := s.reserve(ctx, p)
	switch {
	case errors.Is(got.Err, stock.ErrReplay) && got.Entry != nil:
		return s.replay(ctx, w, r, o, got.Entry)
	case got.Err != nil:
		return s.refusedByRedis(sale, o.ShopperID, got)
	case errors.Is(err, stock.ErrBusy):
		return problem.New(overloaded, nil)
	case errors.Is(err, stock.ErrUnavailable):
		return notReserved(nil)
	case err != nil:
		return reservationUnknown(sale.ID, err)
	}
	o.Slot = got.Slot
	s.publish(ctx, o)
	s.metrics.accepted.Inc()
	if err := failpoint.Hit(ctx, failpoint.BeforeAnswer); err != nil {
		return reservationUnknown(sale.ID, err)
	}
	v := pendingView(o)
	s.writeAccepted(w, r, &v, 0)
	return nil
}

// reserve reserves the units. Its span covers the wait for a batch and the batch.
func (s *Server) reserve(ctx context.Context, p stock.Purchase) (stock.Reservation, error) {
	ctx, span := s.tracer.Start(ctx, "reserve")
	got, err := s.reserver.Reserve(ctx, p)
	span.ID("seckill.sale.id", p.SaleID)
	span.ID("seckill.order.id", int64(p.ID))
	if got.Err != nil {
		span.Text("seckill.refusal", got.Err.Error())
	}
	span.End(err)
	return got, err
}

// publish sends the order to the queue. If that fails, or may have failed, the
// sweeper settles the order from its reservation; marked as urgent, at once
// instead of when its lease ends.
func (s *Server) publish(ctx context.Context, o order.Order) {
	err := s.publisher.Publish(ctx, o)
	if err == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), urgentTimeout)
	defer cancel()
	if urgentErr := s.stock.Urgent(ctx, o.SaleID, o); urgentErr != nil {
		err = errors.Join(err, urgentErr)
	}
	s.errorLog.error(ctx, "order left to the sweeper", slog.Int64("sale_id", o.SaleID),
		slog.String("order_id", o.ID.String()), slog.Any("err", err))
}

// writeAccepted answers 202. The first poll of a new order is due in about a
// second.
func (s *Server) writeAccepted(w http.ResponseWriter, r *http.Request, v *view, age time.Duration) {
	public := s.seal(v.Order)
	w.Header()["Location"] = []string{orderPath(public)}
	s.writeOrder(w, r, http.StatusAccepted, v, public, age)
}

// replay answers a purchase whose key names an order already: the same 202 with
// the order's status, if the payload is the same.
func (s *Server) replay(ctx context.Context, w http.ResponseWriter, r *http.Request, o order.Order, e *stock.Entry) error {
	earlier := order.Order{ID: e.ID, SaleID: o.SaleID, ShopperID: o.ShopperID}
	v := pendingView(e.Order)
	v.SaleID, v.ShopperID = o.SaleID, o.ShopperID
	if e.State == stock.EntryPending {
		s.expedite(ctx, v.Order)
	} else {
		var err error
		if v, err = s.orderStatus(ctx, &statusQuery{Order: earlier}); err != nil {
			f := failureOf(err)
			f.Detail, f.SaleID, f.OrderURL = &orderUnread, o.SaleID, orderPath(s.seal(earlier))
			return f
		}
	}
	// An order of unknown quantity was voided or lost by Redis: there is no payload
	// to compare with.
	if v.Quantity > 0 && (v.Quantity != o.Quantity || v.Reference != o.Reference) {
		f := &problem.Failure{Type: keyReused, SaleID: o.SaleID, OrderURL: orderPath(s.seal(earlier))}
		if o.Key == 0 {
			f.Detail = &noKeyReused
		}
		return f
	}
	w.Header()["Idempotent-Replayed"] = yes
	s.writeAccepted(w, r, &v, s.age(v.ID))
	return nil
}
