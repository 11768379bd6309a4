package adminhttp

import (
	"errors"
	"net/http"

	"seckill/admin"
	"seckill/order"
)

func (h *Handler) listPayments(_ http.ResponseWriter, r *http.Request) (any, error) {
	in := queryOf(r, "refund_required", "sale_id", "shopper", "cursor", "limit")
	q := order.PaymentQuery{
		ShopperID: in.query.Get("shopper"), RefundDue: in.flag("refund_required"),
		Before: in.query.Get("cursor"), Limit: in.limit(),
	}
	q.SaleID = h.saleFilter(r.Context(), in)
	if in.err != nil {
		return nil, in.err
	}
	page, err := h.service.Payments(r.Context(), q)
	if errors.Is(err, order.ErrNotFound) {
		return nil, invalid("?cursor", "must be the next_cursor of a page")
	}
	return pageOf(page, q.Limit, admin.ViewPayment, func(v admin.PaymentView) string { return v.EventID }), err
}

func (h *Handler) refundedPayment(_ http.ResponseWriter, r *http.Request) (any, error) {
	in := inputOf(r)
	c := in.call()
	if in.err != nil {
		return nil, in.err
	}
	p, err := h.service.Refunded(r.Context(), c, r.PathValue("id"))
	if errors.Is(err, order.ErrNotFound) {
		return nil, because(notFound, "There is no payment with this event ID.")
	}
	return admin.ViewPayment(p), err
}
