// Package api is the shoppers' HTTP API: sales, purchases, orders and payments,
// on Echo, behind a fast path that refuses purchases of sold-out sales.
//
// It promises:
//   - A purchase is answered with 202 if and only if its reservation is known to
//     have succeeded, even if sending it to the queue failed.
//   - Nothing here gives stock back.
//   - A purchase that the local copy of its sale refuses asks no store.
//   - The answer about another shopper's order is the answer about an order that
//     does not exist.
//   - Every queue, every cache and the number of waiting requests is bounded.
package api

import (
	"context"
	_ "embed"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/labstack/echo/v4"

	"seckill/internal/denial"
	"seckill/internal/ratelimit"
	"seckill/internal/telemetry"
	"seckill/order"
	"seckill/web"
)

// Server answers shoppers.
type Server struct {
	catalog        liveSales
	reserver       reserver
	publisher      publisher
	stock          ledger
	results        listener
	lookup         lookup
	orders         store
	resolver       resolver
	payments       paymentService
	ids            idSource
	sealer         *order.Sealer
	tokens         tokens
	permits        *Permits
	challenge      challenge
	paymentSecrets [][]byte
	gate           func(ctx context.Context, saleID int64) error
	quiet          func() bool
	tracer         *telemetry.Tracer
	metrics        *Metrics
	log            *slog.Logger
	accessLog      int
	trustedProxies []netip.Prefix

	fastPath    fastPath
	waiters     *waiters
	closedSales *closedSales
	expedited   *lru.Cache[order.ID, struct{}]
	salesList   salesList
	buying      inflight
	polling     inflight
	permitting  inflight
	paying      inflight
	cancelling  inflight
	cancels     *perShopper
	checks      *perShopper
	heldPolls   *perShopper
	finding     inflight
	shoppers    *ratelimit.Limiter
	addresses   *ratelimit.Limiter
	accepting   deadlines
	requests    requestIDs
	errorLog    *errorLog
	denials     *denial.Recorder

	mu       sync.Mutex
	draining chan struct{} // closed while the server is not ready
}

// New returns a Server with its routes in place. It is ready until SetReady says
// otherwise.
func New(o Options) *Server {
	if o.Limits == (Limits{}) {
		o.Limits = DefaultLimits()
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	if o.Denials == nil {
		o.Denials = NewDenials(nil, o.Log)
	}
	s := &Server{
		catalog: o.Catalog, reserver: o.Reserver, publisher: o.Publisher, stock: o.Stock, results: o.Results,
		lookup: o.Lookup, orders: o.Orders, resolver: o.Resolver, payments: o.Payments, ids: o.IDs,
		sealer: o.Sealer, tokens: o.Tokens, permits: o.Permits, challenge: o.Challenge, paymentSecrets: o.PaymentSecrets,
		gate: o.Gate, quiet: o.Quiet, tracer: o.Tracer, metrics: o.Metrics, log: o.Log,
		accessLog: o.Limits.AccessLog, trustedProxies: o.TrustedProxies,

		waiters:     newWaiters(),
		cancels:     newPerShopper(cancelsPerShopper),
		checks:      newPerShopper(checksPerShopper),
		heldPolls:   newPerShopper(heldPollsPerShopper),
		closedSales: newClosedSales(o.Orders),
		expedited:   newExpedited(),
		shoppers:    ratelimit.New(0, 0, callersKept),
		addresses:   ratelimit.New(0, 0, callersKept),
		accepting:   deadlines{within: acceptTimeout},
		requests:    newRequestIDs(),
		errorLog:    newErrorLog(o.Log),
		denials:     o.Denials,
		draining:    make(chan struct{}),
	}
	s.paying.limit.Store(payInflight)
	s.cancelling.limit.Store(cancelInflight)
	s.finding.limit.Store(findInflight)
	s.SetLimits(o.Limits)
	s.fastPath = fastPath{server: s, cors: cors{o.CORSOrigins}, next: s.router(o.Pages)}
	return s
}

// The routes, as metrics name them.
const (
	routeTime    = "/v1/time"
	routeSales   = "/v1/sales"
	routeSale    = "/v1/sales/:id"
	routeBuy     = "/v1/sales/:id/orders"
	routePermits = "/v1/sales/:id/permits"
	routeOrder   = "/v1/orders/:id"
	routeOrders  = "/v1/orders"
	routeCancel  = "/v1/orders/:id/cancel"
	routePay     = "/v1/payments"
	routeProblem = "/problems/:code"
	routeSpec    = "/openapi.json"
	routePages   = "pages" // all of pages
	routeNone    = "none"  // no such route
)

var pages = web.Pages()

//go:embed openapi.json
var document []byte

// OpenAPI returns the description of this API, as /openapi.json answers it. The
// caller must not change it.
func OpenAPI() []byte { return document }

func (s *Server) router(withPages bool) *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Use(s.observe)
	get := func(path string, h echo.HandlerFunc) {
		e.GET(path, h)
		e.HEAD(path, h) // net/http leaves the body out
	}
	get(routeTime, s.getTime)
	get(routeSales, s.listSales)
	get(routeSale, s.getSale)
	e.POST(routeBuy, s.buy)
	e.POST(routePermits, s.issuePermit)
	get(routeOrder, s.poll)
	get(routeOrders, s.listOrders)
	e.POST(routeCancel, s.cancel)
	e.POST(routePay, s.pay)
	get(routeProblem, s.explainProblem)
	get(routeSpec, echo.WrapHandler(web.File(contentJSON[0], document)))
	if withPages {
		for path, page := range pages {
			get(path, echo.WrapHandler(page))
		}
	}
	return e
}

// Handler returns the handler of the shoppers' port.
func (s *Server) Handler() http.Handler { return &s.fastPath }

// NewHTTPServer returns the server of the shoppers' port. Its limits are part of
// the contract: headers within 5 s and 16 KiB (net/http adds 4 KiB of its own), a
// body within 10 s, an answer within the longest poll and 15 s.
func NewHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      longestWait + 15*time.Second,
		IdleTimeout:       75 * time.Second,
		MaxHeaderBytes:    12 << 10,
		// net/http logs clients that misbehave.
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// Run wakes held polls when results arrive, until ctx is done; then it answers
// the held polls.
func (s *Server) Run(ctx context.Context) error {
	defer s.SetReady(false)
	if s.results == nil {
		<-ctx.Done()
		return nil
	}
	return s.results.Listen(ctx, s.waiters.wake, nil)
}

// SetReady says whether the process should get requests. While it should not,
// held polls are answered, none is held, and connections are closed after their
// answer: requests that still arrive are short, and the next go elsewhere.
func (s *Server) SetReady(ready bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fastPath.closing.Store(!ready)
	select {
	case <-s.draining:
		if ready {
			s.draining = make(chan struct{})
		}
	default:
		if !ready {
			close(s.draining)
		}
	}
}

func (s *Server) drain() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

// orderPath is where an order is polled.
func orderPath(public string) string { return "/v1/orders/" + public }

// seal returns the public ID of an order.
func (s *Server) seal(o order.Order) string { return s.sealer.Seal(o.ID, o.SaleID, o.ShopperID) }
