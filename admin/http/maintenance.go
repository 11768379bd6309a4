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
	return func(w http.ResponseWriter, r *http.Request) (any, error) {
		select {
		case h.heavy <- struct{}{}:
			defer func() { <-h.heavy }()
			return e(w, r)
		default:
			return nil, problem.New(overloaded, nil)
		}
	}
}

func (h *Handler) audit(_ http.ResponseWriter, r *http.Request) (any, error) {
	in := inputOf(r)
	id := h.sale(r.Context(), in)
	if in.err != nil {
		return nil, in.err
	}
	found, err := h.service.Audit(r.Context(), id)
	if err != nil {
		return nil, err
	}
	return struct {
		OK bool `json:"ok"`
		audit.SaleAudit
	}{len(found[0].Discrepancies) == 0, found[0]}, nil
}

// rebuiltView is what a rebuild did.
type rebuiltView struct {
	ID        string `json:"id"`
	WasLoaded bool   `json:"was_loaded"`
	Settled   int    `json:"settled_first"` // orders that were pending in Redis
}

// rebuildTimeout is longer than the largest sale takes to load.
const rebuildTimeout = 10 * time.Minute

func (h *Handler) rebuild(_ http.ResponseWriter, r *http.Request) (any, error) {
	in := inputOf(r)
	c := in.call()
	id := h.sale(r.Context(), in)
	if in.err != nil {
		return nil, in.err
	}
	// It continues when the operator disconnects: half a rebuild leaves the sale out of
	// Redis, and its pending orders without a verdict.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), rebuildTimeout)
	defer cancel()
	done, err := h.service.Rebuild(ctx, c, id)
	return rebuiltView{admin.FormatID(id), done.WasLoaded, done.Settled}, err
}
