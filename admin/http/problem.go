package adminhttp

import (
	"encoding/json"
	"net/http"

	"seckill/internal/lang"
)

// problem is a row of the table of what can go wrong. Its code never changes;
// its texts follow Accept-Language.
type problem struct {
	code   string
	status int
	en, zh text
}

type text struct{ title, detail string }

// failure is a problem met by one request.
type failure struct {
	*problem
	detail string       // instead of the problem's own
	fields []fieldError // of validation
	cause  error        // logged when it is our fault, never shown
}

type fieldError struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

func (f *failure) Error() string {
	if f.cause != nil {
		return f.code + ": " + f.cause.Error()
	}
	return f.code
}

func (f *failure) Unwrap() error { return f.cause }

// fail returns p as an error with its cause, which may be nil.
func fail(p *problem, cause error) *failure { return &failure{problem: p, cause: cause} }

// invalid is the validation problem of one field: a JSON pointer, or a query
// parameter as ?name.
func invalid(pointer, detail string) *failure {
	return &failure{problem: validation, fields: []fieldError{{pointer, detail}}}
}

// document is a problem as RFC 9457 has it.
type document struct {
	Type   string       `json:"type"`
	Title  string       `json:"title"`
	Status int          `json:"status"`
	Code   string       `json:"code"`
	Detail string       `json:"detail"`
	Errors []fieldError `json:"errors,omitempty"`
}

// write answers with the problem document of f.
func (f *failure) write(w http.ResponseWriter, r *http.Request) {
	l := lang.Of(r)
	t := f.en
	if l == lang.Chinese {
		t = f.zh
	}
	if f.detail != "" {
		t.detail = f.detail
	}
	h := w.Header()
	h["Content-Language"] = l.Header()
	switch f.problem {
	case unauthenticated:
		h.Set("WWW-Authenticate", "Bearer")
	case dependencyDown, overloaded:
		h.Set("Retry-After", "2")
	}
	writeJSON(w, f.status, "application/problem+json", document{
		"/problems/" + f.code, t.title, f.status, f.code, t.detail, f.fields,
	})
}

func writeJSON(w http.ResponseWriter, status int, contentType string, v any) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) //nolint:errchkjson // views of ours; if the client is gone there is nothing to tell it
}
