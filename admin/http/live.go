package adminhttp

import "net/http"

func (h *Handler) live(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "sale_id")
	if err != nil {
		return err
	}
	id, err := positive(q, "sale_id")
	if err != nil {
		return err
	}
	v, err := h.glances.get(r.Context(), id)
	if err != nil {
		return err
	}
	writeOK(w, v)
	return nil
}
