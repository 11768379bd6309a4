package adminhttp

import (
	"errors"
	"net/http"

	"seckill/admin"
	"seckill/internal/problem"
	"seckill/order"
)

func (h *Handler) listOrders(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "sale_id", "shopper", "reference", "cursor", "limit")
	if err != nil {
		return err
	}
	before, limit, err := paging(q)
	if err != nil {
		return err
	}
	sale, err := positive(q, "sale_id")
	if err != nil {
		return err
	}
	page, next, err := h.service.Orders(r.Context(), admin.OrderQuery{
		SaleID: sale, Shopper: q.Get("shopper"), Reference: q.Get("reference"), Before: order.ID(before), Limit: limit,
	})
	if errors.Is(err, admin.ErrQuery) {
		return invalid("?sale_id", "send sale_id or shopper; reference needs sale_id")
	}
	if err != nil {
		return err
	}
	l := list[admin.OrderView]{Items: make([]admin.OrderView, len(page))}
	for i, f := range page {
		l.Items[i] = admin.ViewOrder(f)
	}
	l.Next = admin.FormatID(int64(next))
	writeOK(w, l)
	return nil
}

// ParseOrderID reads the ID of an order as operators have it, decimal, or as
// the shopper has it.
func ParseOrderID(s string) (order.ID, error) {
	if id, err := order.ParseID(s); err == nil {
		return id, nil
	}
	return order.PeekPublicID(s)
}

func orderID(r *http.Request) (order.ID, error) {
	id, err := ParseOrderID(r.PathValue("id"))
	if err != nil {
		return 0, problem.New(notFound, nil)
	}
	return id, nil
}

func (h *Handler) showOrder(w http.ResponseWriter, r *http.Request) error {
	id, err := orderID(r)
	if err != nil {
		return err
	}
	q, err := query(r, "sale_id", "shopper")
	if err != nil {
		return err
	}
	sale, err := positive(q, "sale_id")
	if err != nil {
		return err
	}
	f, err := h.service.Order(r.Context(), id, sale, q.Get("shopper"))
	if errors.Is(err, order.ErrNotFound) {
		return because(notFound, "The order has no verdict in MySQL or among the dead letters. To find a pending order, send sale_id and shopper.")
	}
	if err != nil {
		return err
	}
	writeOK(w, admin.ViewOrder(f))
	return nil
}

// cancelledView is an order after it was cancelled.
type cancelledView struct {
	ID      string `json:"id"`
	SaleID  string `json:"sale_id"`
	Status  string `json:"status"`
	InForce bool   `json:"in_force"`
}

func (h *Handler) cancelOrder(w http.ResponseWriter, r *http.Request) error {
	id, err := orderID(r)
	if err != nil {
		return err
	}
	c, err := h.call(r)
	if err != nil {
		return err
	}
	done, err := h.service.CancelOrder(r.Context(), c, id)
	if errors.Is(err, order.ErrNotFound) {
		return because(notFound, "The order has no verdict yet. It can be cancelled once it is confirmed.")
	}
	if err != nil {
		return err
	}
	v := done.Verdict
	writeJSON(w, statusOf(admin.Result{Behind: done.Behind}),
		cancelledView{v.ID.String(), admin.FormatID(v.SaleID), string(v.Status), done.Behind == nil})
	return nil
}
