package adminhttp

import (
	"context"
	"net/http"
	"time"

	"seckill/admin"
	"seckill/audit"
	"seckill/internal/problem"
)

// limited lets two handlers that read whole sales run at a time.
func (h *Handler) limited(e endpoint) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		select {
		case h.heavy <- struct{}{}:
			defer func() { <-h.heavy }()
			return e(w, r)
		default:
			return problem.New(overloaded, nil)
		}
	}
}

func (h *Handler) audit(w http.ResponseWriter, r *http.Request) error {
	id, err := saleID(r)
	if err != nil {
		return err
	}
	found, err := h.service.Audit(r.Context(), id)
	if err != nil {
		return err
	}
	writeOK(w, struct {
		OK bool `json:"ok"`
		audit.SaleAudit
	}{len(found[0].Discrepancies) == 0, found[0]})
	return nil
}

// rebuiltView is what a rebuild did.
type rebuiltView struct {
	ID        string `json:"id"`
	WasLoaded bool   `json:"was_loaded"`
	Settled   int    `json:"settled_first"` // orders that were pending in Redis
}

// rebuildTimeout is longer than the largest sale takes to load.
const rebuildTimeout = 10 * time.Minute

func (h *Handler) rebuild(w http.ResponseWriter, r *http.Request) error {
	id, err := saleID(r)
	if err != nil {
		return err
	}
	c, err := h.call(r)
	if err != nil {
		return err
	}
	// It goes on when the operator leaves: half a rebuild leaves the sale out of
	// Redis, and its pending orders without a verdict.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), rebuildTimeout)
	defer cancel()
	done, err := h.service.Rebuild(ctx, c, id)
	if err != nil {
		return err
	}
	writeOK(w, rebuiltView{admin.FormatID(id), done.WasLoaded, done.Settled})
	return nil
}
