package adminhttp

import (
	"net/http"

	"seckill/admin"
)

func (h *Handler) listDeadLetters(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "sale_id", "limit")
	if err != nil {
		return err
	}
	_, limit, err := paging(q)
	if err != nil {
		return err
	}
	sale, err := positive(q, "sale_id")
	if err != nil {
		return err
	}
	found, err := h.service.DeadLetters(r.Context(), sale, limit)
	if err != nil {
		return err
	}
	l := list[admin.DeadLetterView]{Items: make([]admin.DeadLetterView, len(found))}
	for i, d := range found {
		l.Items[i] = admin.ViewDeadLetter(d)
	}
	writeOK(w, l)
	return nil
}

func (h *Handler) showDeadLetter(w http.ResponseWriter, r *http.Request) error {
	found, err := h.service.DeadLetter(r.Context(), admin.ParseMessageID(r.PathValue("id")))
	if err != nil {
		return err
	}
	l := list[admin.DeadLetterView]{Items: make([]admin.DeadLetterView, len(found))}
	for i, d := range found {
		l.Items[i] = admin.ViewDeadLetterBody(d)
	}
	writeOK(w, l)
	return nil
}

func (h *Handler) discardDeadLetter(w http.ResponseWriter, r *http.Request) error {
	c, err := h.call(r)
	if err != nil {
		return err
	}
	n, err := h.service.Discard(r.Context(), c, admin.ParseMessageID(r.PathValue("id")))
	if err != nil {
		return err
	}
	writeOK(w, map[string]int{"discarded": n})
	return nil
}
