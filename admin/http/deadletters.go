package adminhttp

import (
	"net/http"

	"seckill/admin"
)

func (h *Handler) listDeadLetters(_ http.ResponseWriter, r *http.Request) (any, error) {
	in := queryOf(r, "sale_id", "limit")
	_, limit := in.page()
	sale := h.saleFilter(r.Context(), in)
	if in.err != nil {
		return nil, in.err
	}
	found, err := h.service.DeadLetters(r.Context(), sale, limit)
	return listOf(found, admin.ViewDeadLetter), err
}

func (h *Handler) showDeadLetter(_ http.ResponseWriter, r *http.Request) (any, error) {
	found, err := h.service.DeadLetter(r.Context(), admin.ParseMessageID(r.PathValue("id")))
	return listOf(found, admin.ViewDeadLetterBody), err
}

func (h *Handler) discardDeadLetter(_ http.ResponseWriter, r *http.Request) (any, error) {
	in := inputOf(r)
	c := in.call()
	if in.err != nil {
		return nil, in.err
	}
	n, err := h.service.Discard(r.Context(), c, admin.ParseMessageID(r.PathValue("id")))
	return map[string]int{"discarded": n}, err
}
