// Package adminhttp is the operators' HTTP: handlers and routes. What they do is
// admin's.
package adminhttp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"seckill/admin"
	"seckill/internal/problem"
	"seckill/internal/readcache"
	"seckill/order"
)

// The roles of operators.
const (
	Viewer   = "viewer"   // may look
	Operate  = "operator" // may look and act
	maxLimit = 200        // rows of one page
	page     = 50         // where nobody says how many
)

// Roles are all of them.
func Roles() []string { return []string{Viewer, Operate} }

// tokens tells whose bearer token it is. The role is empty when the token says
// none of ours.
type tokens interface {
	Operator(token string) (order.Operator, error)
}

// Prefix is where the Handler serves.
const Prefix = "/admin/v1/"

// Handler is the HTTP API of a Service, under Prefix. Everything needs an
// operator's token; everything but GET needs the role operator.
type Handler struct {
	service   *admin.Service
	tokens    tokens
	mux       *http.ServeMux
	served    []string
	heavy     chan struct{} // bounds what reads whole sales
	liveViews *readcache.Cache[admin.LiveView]
}

// NewHandler returns the HTTP API of a Service. More of it is added with Handle
// before it serves.
func NewHandler(s *admin.Service, t tokens) *Handler {
	h := &Handler{service: s, tokens: t, mux: http.NewServeMux(), heavy: make(chan struct{}, 2)}
	h.liveViews = newLiveCache(s)
	h.routes()
	return h
}

// endpoint answers a request, or says why not: an error of NewProblem or of the
// packages order and admin.
type endpoint func(w http.ResponseWriter, r *http.Request) error

// Handle adds an endpoint; the pattern is a method and what follows Prefix.
func (h *Handler) Handle(pattern string, e func(w http.ResponseWriter, r *http.Request) error) {
	method, path, _ := strings.Cut(pattern, " ")
	h.served = append(h.served, method+" "+Prefix+path)
	h.mux.HandleFunc(method+" "+Prefix+path, func(w http.ResponseWriter, r *http.Request) {
		if err := e(w, r); err != nil {
			h.fail(w, r, err)
		}
	})
}

// Routes are what it serves, each a method and a path.
func (h *Handler) Routes() []string { return slices.Sorted(slices.Values(h.served)) }

func (h *Handler) routes() {
	for pattern, e := range map[string]endpoint{
		"GET sales":                h.listSales,
		"POST sales":               h.createSale,
		"POST sales/pause":         h.pauseAll,
		"GET sales/{id}":           h.showSale,
		"PATCH sales/{id}":         h.changeSale,
		"POST sales/{id}/{action}": h.act,
		"GET sales/{id}/audit":     h.busy(h.audit),
		"POST sales/{id}/rebuild":  h.busy(h.rebuild),

		"GET orders":              h.listOrders,
		"GET orders/{id}":         h.showOrder,
		"POST orders/{id}/cancel": h.cancelOrder,

		"GET dead-letters":               h.listLetters,
		"GET dead-letters/{id}":          h.showLetter,
		"POST dead-letters/{id}/discard": h.discard,

		"GET limits":    h.showLimits,
		"PATCH limits":  h.changeLimits,
		"GET instances": h.listInstances,
		"GET live":      h.live,

		"GET audit-log": h.auditLog,
	} {
		h.Handle(pattern, e)
	}
}

type operatorKey struct{}

// By returns who sent the request.
func By(ctx context.Context) order.Operator {
	by, _ := ctx.Value(operatorKey{}).(order.Operator)
	return by
}

// ServeHTTP lets operators through to the endpoints.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	by, err := h.operator(r)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	r = r.WithContext(context.WithValue(r.Context(), operatorKey{}, by))
	unknown, pattern := h.mux.Handler(r)
	if pattern != "" {
		h.mux.ServeHTTP(w, r)
		return
	}
	answer := &statusOnly{header: w.Header()}
	unknown.ServeHTTP(answer, r)
	if answer.status == http.StatusMethodNotAllowed {
		h.fail(w, r, problem.New(methodNotAllowed, nil))
		return
	}
	h.fail(w, r, problem.New(notFound, nil))
}

// operator is who sent the request, if they may.
func (h *Handler) operator(r *http.Request) (order.Operator, error) {
	values := r.Header["Authorization"]
	if len(values) != 1 {
		return order.Operator{}, problem.New(unauthenticated, nil)
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return order.Operator{}, problem.New(unauthenticated, nil)
	}
	by, err := h.tokens.Operator(token)
	switch {
	case err != nil:
		return by, problem.New(unauthenticated, nil)
	case !slices.Contains(Roles(), by.Role), by.Role != Operate && r.Method != http.MethodGet && r.Method != http.MethodHead:
		return by, problem.New(forbidden, nil)
	}
	return by, nil
}

// statusOnly takes the headers and the status of an answer.
type statusOnly struct {
	header http.Header
	status int
}

func (s *statusOnly) Header() http.Header         { return s.header }
func (s *statusOnly) Write(b []byte) (int, error) { return len(b), nil }
func (s *statusOnly) WriteHeader(status int)      { s.status = status }

// fail answers with the problem that err is.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	f := problemOf(err)
	if f.Status >= http.StatusInternalServerError {
		h.service.Log.WarnContext(r.Context(), "operator's request failed", "method", r.Method, "path", r.URL.Path, "err", err)
	}
	writeFailure(w, r, f)
}

// problemOf is the one place where errors become problems.
func problemOf(err error) *problem.Failure {
	if f, ok := errors.AsType[*problem.Failure](err); ok {
		return f
	}
	if _, ok := errors.AsType[*admin.UnavailableError](err); ok {
		return problem.New(dependencyDown, err)
	}
	if fields := fieldErrors(err); len(fields) > 0 {
		return &problem.Failure{Type: validation, Fields: fields}
	}
	for _, row := range []struct {
		err error
		*problem.Type
	}{
		{order.ErrStale, stale},
		{order.ErrReused, keyReused},
		{order.ErrConflict, conflict},
		{order.ErrNotFound, notFound},
		{order.ErrInvalid, validation},
	} {
		if !errors.Is(err, row.err) {
			continue
		}
		f := problem.New(row.Type, err)
		if about := Reason(err); about != "" && row.Type == conflict {
			f.Detail = &problem.Detail{En: about, Zh: about}
		}
		return f
	}
	return problem.New(internalError, err)
}

// Reason is what a conflict is about, without what wraps it; empty for any
// other error.
func Reason(err error) string {
	if !errors.Is(err, order.ErrConflict) {
		return ""
	}
	prefix := order.ErrConflict.Error() + ": "
	_, about, _ := strings.Cut(err.Error(), prefix)
	return strings.ReplaceAll(about, "\n"+prefix, "; ") // several at once
}

// problem.Fields are the bad fields in err, as JSON pointers.
func fieldErrors(err error) (fields []problem.Field) {
	if f, ok := err.(*order.FieldError); ok { //nolint:errorlint // the tree is walked here
		return []problem.Field{{Pointer: "/" + f.Field, Detail: f.Detail}}
	}
	switch e := err.(type) { //nolint:errorlint // as above
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			fields = append(fields, fieldErrors(err)...)
		}
	case interface{ Unwrap() error }:
		return fieldErrors(e.Unwrap())
	}
	return fields
}

// call is the request as a call of the service, with If-Match if it was sent.
func (h *Handler) call(r *http.Request) (admin.Call, error) {
	c := admin.Call{By: By(r.Context()), Command: admin.NewCommand()}
	if keys, sent := r.Header["Idempotency-Key"]; sent {
		if len(keys) != 1 || keys[0] == "" || !order.ValidReference(keys[0]) {
			return c, problem.New(keyInvalid, nil)
		}
		c.Command = admin.CommandID(c.By.Name, keys[0])
	}
	if tags, sent := r.Header["If-Match"]; sent {
		n, err := strconv.ParseUint(strings.Trim(tags[0], `"`), 10, 64)
		if len(tags) != 1 || err != nil || n == 0 || tags[0] != etag(n) {
			return c, problem.New(ifMatchInvalid, nil)
		}
		c.IfVersion = n
	}
	return c, nil
}

func etag(version uint64) string { return `"` + strconv.FormatUint(version, 10) + `"` }

// query reads the parameters of a request; one that is not known, or sent
// twice, is refused.
func query(r *http.Request, known ...string) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, invalid("?", "is no query")
	}
	for name, values := range q {
		if !slices.Contains(known, name) {
			return nil, because(unexpectedField, fmt.Sprintf("There is no parameter %q here; there are %s.", name, strings.Join(known, ", ")))
		}
		if len(values) != 1 {
			return nil, invalid("?"+name, "must have one value")
		}
	}
	return q, nil
}

// positive reads a whole number above 0; 0 when it was not sent.
func positive(q url.Values, name string) (int64, error) {
	s := q.Get(name)
	if s == "" && !q.Has(name) {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return 0, invalid("?"+name, "must be a whole number above 0")
	}
	return n, nil
}

// paging reads cursor and limit.
func paging(q url.Values) (before int64, limit int, err error) {
	before, err = positive(q, "cursor")
	if err != nil {
		return 0, 0, err
	}
	n, err := positive(q, "limit")
	if err != nil || n > maxLimit {
		return 0, 0, invalid("?limit", "must be 1 to "+strconv.Itoa(maxLimit))
	}
	if n == 0 {
		n = page
	}
	return before, int(n), nil
}

// saleID is that of the path; one that is none is of no sale.
func saleID(r *http.Request) (int64, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || id <= 0 {
		return 0, problem.New(notFound, nil)
	}
	return id, nil
}
