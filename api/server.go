// Package api is the shoppers' HTTP front: sales, purchases and polls, on Echo,
// with a plain handler ahead of it that refuses what is sold out.
//
// Its promises: an order is answered with 202 if and only if its reservation is
// known to have succeeded, whatever the send to the queue did; nothing here
// gives stock back; a purchase that is refused costs no store anything when the
// local copy of the sale can tell; what one shopper is told of another's order
// is what anybody is told of an order that never was. Every queue, cache and
// number of waiters is bounded.
package api

import (
	"context"
	"net/http"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/labstack/echo/v4"

	"seckill/internal/ratelimit"
	"seckill/order"
	"seckill/web"
)

// Server answers shoppers.
type Server struct {
	Options
	front       front
	hub         *hub
	closedSales *closedSales
	hurried     *lru.Cache[order.ID, struct{}]
	buying      inflight
	polling     inflight
	permitting  inflight
	paying      inflight
	looking     inflight
	shown       salesBody
	shoppers    *ratelimit.Limiter
	addresses   *ratelimit.Limiter
	accepting   deadlines
	requests    requestIDs
	logs        *logGate

	mu       sync.Mutex
	draining chan struct{} // closed while the server is not ready
}

// lookInflight bounds those who wait for a look for sales that the local copy
// does not have. A look is short, and there is one a second.
const lookInflight = 64

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

// New returns a Server with its routes in place. It is ready until it is told
// otherwise.
func New(o Options) *Server {
	if o.Limits == (Limits{}) {
		o.Limits = DefaultLimits()
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	s := &Server{
		Options:     o,
		hub:         newHub(),
		closedSales: newClosedSales(o.Orders),
		hurried:     newHurried(),
		shoppers:    ratelimit.New(0, 0, callersKept),
		addresses:   ratelimit.New(0, 0, callersKept),
		accepting:   deadlines{within: acceptWithin},
		requests:    newRequestIDs(),
		logs:        newLogGate(o.Log),
		draining:    make(chan struct{}),
	}
	s.paying.limit.Store(payInflight)
	s.looking.limit.Store(lookInflight)
	s.SetLimits(o.Limits)
	s.front = front{server: s, cors: cors{o.CORSOrigins}, next: s.routes()}
	return s
}

// SetLimits changes what the process takes on, from the next request on; but
// for AccessLog. What is under way or held goes on, and no shopper's bucket is
// emptied or filled.
func (s *Server) SetLimits(l Limits) {
	s.buying.limit.Store(int64(l.BuyInflight))
	s.permitting.limit.Store(int64(l.BuyInflight)) // a slow check of challenges is not in the way of buying
	s.polling.limit.Store(int64(l.PollInflight))
	s.hub.setLimit(l.HeldPolls)
	s.shoppers.Set(l.ShopperRPS, l.ShopperBurst)
	s.addresses.Set(l.AddressRPS, int(l.AddressRPS*addressBurst))
}

// callersKept is how many shoppers, and how many addresses, are told apart.
const callersKept = 1 << 17

// addressBurst is the burst of an address, in seconds of its rate.
const addressBurst = 5

func (s *Server) routes() *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Use(s.observe)
	get := func(path string, h echo.HandlerFunc) {
		e.GET(path, h)
		e.HEAD(path, h) // net/http leaves the body out
	}
	get(routeTime, s.time)
	get(routeSales, s.sales)
	get(routeSale, s.sale)
	e.POST(routeBuy, s.buy)
	e.POST(routePermits, s.permit)
	get(routeOrder, s.poll)
	get(routeOrders, s.list)
	e.POST(routeCancel, s.cancel)
	e.POST(routePay, s.payment)
	get(routeProblem, s.explain)
	get(routeSpec, echo.WrapHandler(web.File(contentJSON[0], document)))
	for path, page := range pages {
		get(path, echo.WrapHandler(page))
	}
	return e
}

// Handler returns what serves the shoppers' port.
func (s *Server) Handler() http.Handler { return &s.front }

// Run wakes held polls as results come in, until ctx is done; then it lets the
// held polls go.
func (s *Server) Run(ctx context.Context) error {
	defer s.SetReady(false)
	if s.Results == nil {
		<-ctx.Done()
		return nil
	}
	return s.Results.Listen(ctx, s.hub.wake, nil)
}

// SetReady tells whether the process is to get requests. While it is not, held
// polls are answered, none is held, and connections are closed after their
// answer, so that the requests that still come are short and go elsewhere next.
func (s *Server) SetReady(ready bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.front.closing.Store(!ready)
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
func (s *Server) seal(o order.Order) string { return s.Sealer.Seal(o.ID, o.SaleID, o.ShopperID) }
