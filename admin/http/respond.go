package adminhttp

import (
	"encoding/json"
	"net/http"

	"seckill/internal/lang"
	"seckill/internal/problem"
)

// because returns a failure with a detail of its own.
func because(t *problem.Type, detail string) *problem.Failure {
	return &problem.Failure{Type: t, Detail: &problem.Detail{En: detail, Zh: detail}}
}

// invalid returns the validation problem of one field: a JSON pointer, or a
// query parameter as ?name.
func invalid(pointer, detail string) *problem.Failure {
	return &problem.Failure{Type: validation, Fields: []problem.Field{{Pointer: pointer, Detail: detail}}}
}

// writeFailure answers with the problem document of f.
func writeFailure(w http.ResponseWriter, r *http.Request, f *problem.Failure) {
	if f.Type == unauthenticated {
		f.Challenge = "Bearer"
	}
	l := lang.Of(r)
	f.SetHeader(w.Header(), l)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(f.Status)
	_, _ = w.Write(append(f.Append(nil, l), '\n')) //nolint:gosec // JSON, and said to be: no browser takes it for a page
}

// response is a view with a status.
type response struct {
	status int
	view   any
}

// writeJSON answers with a view, or with a response.
func writeJSON(w http.ResponseWriter, view any) {
	resp, ok := view.(response)
	if !ok {
		resp = response{http.StatusOK, view}
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(resp.status)
	_ = json.NewEncoder(w).Encode(resp.view) //nolint:errchkjson // views can be encoded; an error means that the client has disconnected
}
