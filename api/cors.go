package api

import (
	"net/http"
	"slices"
)

// cors lets pages of the listed origins call. No cookies are involved, so that
// "*" gives away nothing: who calls needs a token.
type cors struct{ origins []string }

var (
	exposed     = []string{"Location, Retry-After, Idempotent-Replayed, X-Request-Id"}
	varyOrigin  = []string{"Origin"}
	corsMethods = []string{"GET, POST"}
	corsHeaders = []string{"Authorization, Content-Type, Idempotency-Key, Purchase-Permit, X-Request-Id"}
	corsMaxAge  = []string{"86400"}
)

// handle puts the headers on an answer to another origin, and answers a
// preflight: true when it did.
func (c cors) handle(w http.ResponseWriter, r *http.Request) bool {
	if len(c.origins) == 0 {
		return false
	}
	h := w.Header()
	h["Vary"] = varyOrigin
	origin := r.Header["Origin"]
	allowed := len(origin) == 1 && (slices.Contains(c.origins, origin[0]) || slices.Contains(c.origins, "*"))
	if allowed {
		h["Access-Control-Allow-Origin"] = origin
		h["Access-Control-Expose-Headers"] = exposed
	}
	if r.Method != http.MethodOptions || len(r.Header["Access-Control-Request-Method"]) == 0 {
		return false
	}
	if allowed {
		h["Access-Control-Allow-Methods"] = corsMethods
		h["Access-Control-Allow-Headers"] = corsHeaders
		h["Access-Control-Max-Age"] = corsMaxAge
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}
