// Package adminhttp is the operators' HTTP API. It checks who calls and what is
// sent; package admin does the work.
package adminhttp

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"seckill/admin"
	"seckill/internal/denial"
	"seckill/internal/problem"
	"seckill/order"
)

// The roles of operators.
const (
	Viewer   = "viewer"   // may read
	Operate  = "operator" // may read and change
	maxLimit = 200        // rows of a page
	pageSize = 50         // the default
)

// Roles returns all roles.
func Roles() []string { return []string{Viewer, Operate} }

// tokens tells whose bearer token it is. The role is empty if the token has none.
type tokens interface {
	Operator(token string) (order.Operator, error)
}

// Prefix is where the Handler serves.
const Prefix = "/admin/v1/"

// Handler is the HTTP API of a Service, under Prefix. Every request needs an
// operator's token; every request but GET and HEAD needs the role operator.
type Handler struct {
	service   *admin.Service
	tokens    tokens
	denials   *denial.Recorder
	log       *slog.Logger
	mux       *http.ServeMux
	served    []string
	heavy     chan struct{} // bounds handlers that read whole sales
	liveViews *liveCache
}

// NewHandler returns the HTTP API of a Service. denials records the tokens that it
// refuses.
func NewHandler(s *admin.Service, t tokens, denials *denial.Recorder, log *slog.Logger) *Handler {
	h := &Handler{service: s, tokens: t, denials: denials, log: log, mux: http.NewServeMux(), heavy: make(chan struct{}, 2)}
	h.liveViews = newLiveCache(s)
	h.routes()
	return h
}

// endpoint returns the view that answers a request, in a response if its status is not
// 200. It may set headers. Its error is a *problem.Failure, or one of the packages
// order and admin.
type endpoint func(w http.ResponseWriter, r *http.Request) (view any, err error)

// Routes returns what it serves, each a method and a path.
func (h *Handler) Routes() []string { return slices.Sorted(slices.Values(h.served)) }

func (h *Handler) routes() {
	for pattern, e := range map[string]endpoint{
		"GET sales":                h.listSales,
		"POST sales":               h.createSale,
		"POST sales/pause":         h.moveAll("pause"),
		"POST sales/resume":        h.moveAll("resume"),
		"GET sales/{id}":           h.showSale,
		"PATCH sales/{id}":         h.changeSale,
		"POST sales/{id}/{action}": h.moveSale,
		"GET sales/{id}/audit":     h.limited(h.audit),
		"POST sales/{id}/rebuild":  h.limited(h.rebuild),

		"GET orders":              h.listOrders,
		"GET orders/{id}":         h.showOrder,
		"POST orders/{id}/cancel": h.cancelOrder,

		"GET dead-letters":               h.listDeadLetters,
		"GET dead-letters/{id}":          h.showDeadLetter,
		"POST dead-letters/{id}/discard": h.discardDeadLetter,

		"GET payments":                h.listPayments,
		"POST payments/{id}/refunded": h.refundedPayment,

		"GET limits":    h.showLimits,
		"PATCH limits":  h.changeLimits,
		"GET instances": h.listInstances,
		"GET live":      h.live,

		"GET audit-log": h.auditLog,
	} {
		method, path, _ := strings.Cut(pattern, " ")
		h.served = append(h.served, method+" "+Prefix+path)
		h.mux.HandleFunc(method+" "+Prefix+path, func(w http.ResponseWriter, r *http.Request) {
			view, err := e(w, r)
			if err != nil {
				h.fail(w, r, err)
				return
			}
			writeJSON(w, view)
		})
	}
}

type operatorKey struct{}

// By returns who sent the request.
func By(ctx context.Context) order.Operator {
	by, _ := ctx.Value(operatorKey{}).(order.Operator)
	return by
}

// ServeHTTP passes the requests of operators to the endpoints.
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

// operator returns who sent the request, if they may.
func (h *Handler) operator(r *http.Request) (order.Operator, error) {
	values := r.Header["Authorization"]
	if len(values) == 0 {
		return order.Operator{}, problem.New(unauthenticated, denial.New(denial.Operator, "no_token", nil))
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return order.Operator{}, problem.New(unauthenticated, denial.New(denial.Operator, "malformed", nil))
	}
	by, err := h.tokens.Operator(token)
	switch {
	case err != nil:
		return by, problem.New(unauthenticated, denial.OfToken(denial.Operator, err))
	case !slices.Contains(Roles(), by.Role), by.Role != Operate && r.Method != http.MethodGet && r.Method != http.MethodHead:
		return by, problem.New(forbidden, denial.New(denial.Operator, "role", fmt.Errorf("%q with the role %q", by.Name, by.Role)))
	}
	return by, nil
}

// statusOnly records the headers and the status of an answer.
type statusOnly struct {
	header http.Header
	status int
}

func (s *statusOnly) Header() http.Header         { return s.header }
func (s *statusOnly) Write(b []byte) (int, error) { return len(b), nil }
func (s *statusOnly) WriteHeader(status int)      { s.status = status }
