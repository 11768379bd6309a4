package api

import (
	"maps"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"seckill/catalog"
	"seckill/internal/lang"
	"seckill/internal/problem"
)

// fastPath stands before Echo. It answers preflights, and purchases that the
// local copy of their sale refuses: a flood of them must cost next to nothing, so
// they pass neither router nor middleware, and their bodies are built ahead. Such
// an answer repeats the request ID that the request brought, but gets no new one.
type fastPath struct {
	server  *Server
	cors    cors
	next    http.Handler
	closing atomic.Bool

	mu    sync.Mutex
	ready atomic.Pointer[map[int64]*refusals] // by sale; replaced, never changed
}

// maxPrebuilt bounds the sales whose refusals are kept; past it they are built
// again.
const maxPrebuilt = 2048

func (f *fastPath) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.cors.handle(w, r) {
		return
	}
	// net/http does not tell of a Content-Length beside chunks. A proxy that goes by
	// it takes what follows for another request, so the connection must end (RFC
	// 9112, 6.1). Normal clients send no chunks.
	if f.closing.Load() || len(r.TransferEncoding) > 0 {
		w.Header()["Connection"] = closeConnection
	}
	if r.Method == http.MethodPost && r.URL.RawPath == "" && r.ContentLength <= maxBody {
		if id, route, ok := saleAction(r.URL.Path); ok && f.refuse(w, r, id, route) {
			return
		}
	}
	f.next.ServeHTTP(w, r)
}

// saleAction recognises /v1/sales/{id}/orders and /v1/sales/{id}/permits.
func saleAction(path string) (saleID int64, route string, ok bool) {
	rest, ok := strings.CutPrefix(path, "/v1/sales/")
	if !ok {
		return 0, "", false
	}
	id, action, _ := strings.Cut(rest, "/")
	switch action {
	case "orders":
		route = routeBuy
	case "permits":
		route = routePermits
	default:
		return 0, "", false
	}
	saleID, ok = parseSaleID(id)
	return saleID, route, ok
}

// parseSaleID reads a sale ID: a positive decimal number without leading zeros.
// It allocates nothing.
func parseSaleID(s string) (int64, bool) {
	if s == "" || len(s) > 19 || s[0] == '0' {
		return 0, false
	}
	var n uint64 // 19 digits fit
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + uint64(s[i]-'0')
	}
	return int64(n), n <= math.MaxInt64
}

// refuse answers a purchase, or a request for its permit, that the local copy
// refuses; false if it does not.
func (f *fastPath) refuse(w http.ResponseWriter, r *http.Request, saleID int64, route string) bool {
	s := f.server
	if !s.catalog.Ready() {
		return false
	}
	sale, ok := s.catalog.Get(saleID)
	if !ok {
		return false
	}
	now := s.catalog.Now()
	kind, refused := refusalOf(sale, now)
	if !refused || s.addressLimit(r, route) != nil { // Echo answers both
		return false
	}
	l := lang.Of(r)
	p, answer := kind.problem(), f.prebuilt(sale).get(kind, l)
	h := w.Header()
	h["Content-Type"] = problem.ContentType
	h["Content-Length"] = answer.length
	h["Content-Language"] = l.Header()
	h["Cache-Control"] = noStore
	if id := r.Header["X-Request-Id"]; len(id) == 1 && plainID(id[0]) {
		h["X-Request-Id"] = id
	}
	if p.RetryMin > 0 {
		h["Retry-After"] = retryWhen(p, sale, now)
	}
	if route == routeBuy {
		s.metrics.refused[p].Inc()
	}
	s.metrics.answered(s.metrics.routes[route], p.Status)
	w.WriteHeader(p.Status)
	_, _ = w.Write(answer.body) // if the client is gone, nobody needs the error
	return true
}

// refusals are the bodies of all refusals of one sale, in all languages.
type refusals struct {
	startsAt time.Time // the only part that can change
	answers  [refusalKinds][lang.Languages]prebuilt
}

type prebuilt struct {
	body   []byte
	length []string // Content-Length
}

func (r *refusals) get(k refusal, l lang.Lang) *prebuilt { return &r.answers[k][l] }

// prebuilt returns the refusals of a sale, which the first one builds.
func (f *fastPath) prebuilt(sale *catalog.Snapshot) *refusals {
	if m := f.ready.Load(); m != nil {
		if r, ok := (*m)[sale.ID]; ok && r.startsAt.Equal(sale.StartsAt) {
			return r
		}
	}
	r := &refusals{startsAt: sale.StartsAt}
	for k := range refusalKinds {
		for l := range lang.Languages {
			body := k.failure(sale, r.startsAt).Append(nil, l)
			r.answers[k][l] = prebuilt{body, []string{strconv.Itoa(len(body))}}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	m := make(map[int64]*refusals)
	if old := f.ready.Load(); old != nil && len(*old) < maxPrebuilt {
		maps.Copy(m, *old)
	}
	m[sale.ID] = r
	f.ready.Store(&m)
	return r
}
