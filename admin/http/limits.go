package adminhttp

import (
	"net/http"

	"seckill/admin"
)

func (h *Handler) showLimits(w http.ResponseWriter, r *http.Request) (any, error) {
	l, err := h.service.LimitsInForce(r.Context())
	if err != nil {
		return nil, err
	}
	w.Header().Set("ETag", etag(l.Limits.Generation))
	return h.service.ViewLimitsStatus(l), nil
}

func (h *Handler) changeLimits(w http.ResponseWriter, r *http.Request) (any, error) {
	in := inputOf(r)
	c, b := in.change(), in.body()
	if in.err != nil {
		return nil, in.err
	}
	values := map[string]*string{}
	for name := range h.service.LimitRules().Configured {
		if v, sent := numeral(b, name); sent {
			values[name] = v
		}
	}
	if err := b.done(); err != nil {
		return nil, err
	}
	l, err := h.service.SetLimits(r.Context(), c, values)
	if err != nil {
		return nil, err
	}
	w.Header().Set("ETag", etag(l.Generation))
	return h.service.ViewLimits(l), nil
}

func (h *Handler) listInstances(_ http.ResponseWriter, r *http.Request) (any, error) {
	found, err := h.service.Instances(r.Context())
	return listOf(found, admin.ViewInstance), err
}
