package adminhttp

import (
	"errors"
	"net/http"

	"seckill/admin"
	"seckill/order"
)

func (h *Handler) listOrders(_ http.ResponseWriter, r *http.Request) (any, error) {
	in := queryOf(r, "sale_id", "shopper", "reference", "cursor", "limit")
	before, limit := in.page()
	q := admin.OrderQuery{
		Shopper: in.query.Get("shopper"), Reference: in.query.Get("reference"), Before: order.ID(before), Limit: limit,
	}
	q.SaleID = h.saleFilter(r.Context(), in)
	if in.err != nil {
		return nil, in.err
	}
	page, next, err := h.service.Orders(r.Context(), q)
	if errors.Is(err, admin.ErrQuery) {
		return nil, invalid("?sale_id", "send sale_id or shopper; reference needs sale_id")
	}
	l := listOf(page, admin.ViewOrder)
	l.Next = admin.FormatID(int64(next))
	return l, err
}

// ParseOrderID reads the ID of an order as operators have it, decimal, or as
// the shopper has it.
func ParseOrderID(s string) (order.ID, error) {
	if id, err := order.ParseID(s); err == nil {
		return id, nil
	}
	return order.PeekPublicID(s)
}

func (h *Handler) showOrder(_ http.ResponseWriter, r *http.Request) (any, error) {
	in := queryOf(r, "sale_id", "shopper")
	id := in.orderID()
	sale := h.saleFilter(r.Context(), in)
	if in.err != nil {
		return nil, in.err
	}
	f, err := h.service.Order(r.Context(), id, sale, in.query.Get("shopper"))
	if errors.Is(err, order.ErrNotFound) {
		return nil, because(notFound, "The order has no verdict in MySQL or among the dead letters. To find a pending order, send sale_id and shopper.")
	}
	return admin.ViewOrder(f), err
}

// cancelledView is an order after it was cancelled.
type cancelledView struct {
	ID      string `json:"id"`
	SaleID  string `json:"sale_id"`
	Status  string `json:"status"`
	InForce bool   `json:"in_force"`
}

func (h *Handler) cancelOrder(_ http.ResponseWriter, r *http.Request) (any, error) {
	in := inputOf(r)
	id, c := in.orderID(), in.call()
	if in.err != nil {
		return nil, in.err
	}
	done, err := h.service.CancelOrder(r.Context(), c, id)
	if errors.Is(err, order.ErrNotFound) {
		return nil, because(notFound, "The order has no verdict yet. It can be cancelled once it is confirmed.")
	}
	v := done.Verdict
	return response{
		statusOf(admin.Result{Behind: done.Behind}),
		cancelledView{v.ID.String(), admin.FormatID(v.SaleID), string(v.Status), done.Behind == nil},
	}, err
}
