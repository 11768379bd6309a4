package adminhttp

import (
	"net/http"

	"seckill/admin"
	"seckill/order"
)

func (h *Handler) auditLog(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "sale_id", "actor", "cursor", "limit")
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
	entries, err := h.service.History(r.Context(), order.AuditQuery{SaleID: sale, Actor: q.Get("actor"), Before: before, Limit: limit})
	if err != nil {
		return err
	}
	l := list[admin.AuditView]{Items: make([]admin.AuditView, len(entries))}
	for i, e := range entries {
		l.Items[i] = admin.ViewAudit(e)
	}
	if len(entries) == limit {
		l.Next = l.Items[limit-1].ID
	}
	writeOK(w, l)
	return nil
}
