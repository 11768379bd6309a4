package adminhttp

import (
	"net/http"

	"seckill/admin"
	"seckill/internal/problem"
)

func (h *Handler) showLimits(w http.ResponseWriter, r *http.Request) error {
	l, err := h.service.LimitsInForce(r.Context())
	if err != nil {
		return err
	}
	w.Header().Set("ETag", etag(l.Limits.Generation))
	writeOK(w, h.service.ViewLimitsStatus(l))
	return nil
}

func (h *Handler) changeLimits(w http.ResponseWriter, r *http.Request) error {
	c, err := h.call(r)
	if err != nil {
		return err
	}
	if c.IfVersion == 0 {
		return problem.New(preconditionRequired, nil)
	}
	b, err := readBody(r)
	if err != nil {
		return err
	}
	values := map[string]*string{}
	for name := range h.service.LimitRules().Configured {
		if v, sent := numeral(b, name); sent {
			values[name] = v
		}
	}
	if err := b.done(); err != nil {
		return err
	}
	l, err := h.service.SetLimits(r.Context(), c, values)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", etag(l.Generation))
	writeOK(w, h.service.ViewLimits(l))
	return nil
}

func (h *Handler) listInstances(w http.ResponseWriter, r *http.Request) error {
	found, err := h.service.Instances(r.Context())
	if err != nil {
		return err
	}
	l := list[admin.InstanceView]{Items: make([]admin.InstanceView, len(found))}
	for i, f := range found {
		l.Items[i] = admin.ViewInstance(f)
	}
	writeOK(w, l)
	return nil
}
