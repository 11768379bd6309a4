package adminhttp

import (
	"net/http"

	"seckill/admin"
	"seckill/order"
)

func (h *Handler) auditLog(_ http.ResponseWriter, r *http.Request) (any, error) {
	in := queryOf(r, "sale_id", "actor", "cursor", "limit")
	before, limit := in.page()
	q := order.AuditQuery{SaleID: h.saleFilter(r.Context(), in), Actor: in.query.Get("actor"), Before: before, Limit: limit}
	if in.err != nil {
		return nil, in.err
	}
	entries, err := h.service.History(r.Context(), q)
	return pageOf(entries, limit, admin.ViewAudit, func(v admin.AuditView) string { return v.ID }), err
}
