package api

import (
	"context"
	"errors"
	"net/http"

	"seckill/catalog"
	"seckill/internal/problem"
	"seckill/order"
	"seckill/stock"
)

// refused maps the refusal of Redis, which may know better than the local copy.
func (s *Server) refused(sale *catalog.Snapshot, shopper string, got stock.Reservation) error {
	now := s.Catalog.Now()
	switch {
	case errors.Is(got.Err, stock.ErrSoldOut):
		return refusedSoldOut.failure(sale, now)
	case errors.Is(got.Err, stock.ErrNotOpen):
		return refusedNotOpen.failure(sale, now)
	case errors.Is(got.Err, stock.ErrEnded):
		return refusedEnded.failure(sale, now)
	case errors.Is(got.Err, stock.ErrPaused):
		return refusedPaused.failure(sale, now)
	case errors.Is(got.Err, stock.ErrPurchaseLimit):
		f := &problem.Failure{Type: purchaseLimit, SaleID: sale.ID}
		if got.Entry != nil {
			f.Detail = &limitHeld
			f.OrderURL = orderPath(s.Sealer.Seal(got.Entry.ID, sale.ID, shopper))
		}
		return f
	case errors.Is(got.Err, stock.ErrNotLoaded):
		return refusedNotLoaded.failure(sale, now)
	default:
		return reservationUnknown(sale.ID, got.Err)
	}
}

// replay answers a purchase whose key names an order already: the same 202 with
// what has become of it, if the payload is the same.
func (s *Server) replay(ctx context.Context, w http.ResponseWriter, r *http.Request, o order.Order, e *stock.Entry) error {
	earlier := order.Order{ID: e.ID, SaleID: o.SaleID, ShopperID: o.ShopperID}
	v := pendingView(e.Order)
	v.SaleID, v.ShopperID = o.SaleID, o.ShopperID
	if e.State == stock.EntryPending {
		s.hurry(ctx, v.Order)
	} else {
		var err error
		if v, err = s.look(ctx, &pursuit{Order: earlier}); err != nil {
			f := failureOf(err)
			f.Detail, f.SaleID, f.OrderURL = &orderUnread, o.SaleID, orderPath(s.seal(earlier))
			return f
		}
	}
	// An order of unknown quantity was voided or lost by Redis: it names no
	// payload to compare with.
	if v.Quantity > 0 && (v.Quantity != o.Quantity || v.Reference != o.Reference) {
		f := &problem.Failure{Type: keyReused, SaleID: o.SaleID, OrderURL: orderPath(s.seal(earlier))}
		if o.Key == 0 {
			f.Detail = &noKeyReused
		}
		return f
	}
	w.Header()["Idempotent-Replayed"] = yes
	s.accepted(w, r, &v, s.age(v.ID))
	return nil
}
