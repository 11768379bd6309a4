package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"seckill/catalog"
	"seckill/internal/auth"
	"seckill/internal/failpoint"
	"seckill/internal/problem"
	"seckill/order"
	"seckill/stock"
)

// ErrBacklog is what a gate returns when more orders wait to be settled than
// may.
var ErrBacklog = errors.New("api: too many orders waiting")

const (
	// acceptWithin bounds reservation and send together. They are not cut short
	// by the shopper's leaving: what is reserved has to be sent.
	acceptWithin = 5 * time.Second
	urgentWithin = time.Second
)

// buy answers POST /v1/sales/{id}/orders. The gates stand in order of cost.
func (s *Server) buy(c echo.Context) error {
	w, r := c.Response(), c.Request()
	sale, err := s.onSale(r.Context(), c.Param("id"))
	if err != nil {
		return err
	}
	shopper, err := s.buyer(r, sale)
	if err != nil {
		return err
	}
	if sale.RequirePermit {
		if err := s.permitted(r, sale, shopper); err != nil {
			return err
		}
	}
	p, err := readPurchase(r, sale)
	if err != nil {
		return err
	}
	if !s.buying.enter() {
		return problem.New(overloaded, nil)
	}
	defer s.buying.leave()
	if err := s.gate(); err != nil {
		return err
	}
	id, err := s.IDs.Next()
	if err != nil {
		return notReserved(err)
	}
	o := order.Order{ID: id, SaleID: sale.ID, ShopperID: shopper, Quantity: p.quantity, Key: p.key, Reference: p.reference}
	return s.reserve(w, r, sale, o)
}

// onSale finds the sale of a purchase in the local copy, and lets the copy
// refuse it. An unknown ID reaches no store.
func (s *Server) onSale(ctx context.Context, param string) (*catalog.Snapshot, error) {
	id, ok := parseSaleID(param)
	if !ok {
		return nil, noSuchSale()
	}
	sale, err := s.known(ctx, id)
	if err != nil {
		return nil, err
	}
	now := s.Catalog.Now()
	if kind, refused := refusalOf(sale, now); refused {
		return nil, kind.failure(sale, now)
	}
	return sale, nil
}

// known returns a sale of the local copy, filled in at most once a second for
// all unknown IDs together.
func (s *Server) known(ctx context.Context, id int64) (*catalog.Snapshot, error) {
	if !s.Catalog.Ready() {
		return nil, problem.New(dependencyDown, nil)
	}
	if sale, ok := s.Catalog.Get(id); ok {
		return sale, nil
	}
	// Who comes while a look is under way waits for it, without a token: not
	// many may.
	if !s.looking.enter() {
		return nil, problem.New(overloaded, nil)
	}
	defer s.looking.leave()
	// The one look of this second is for all: not cut short by who leaves.
	s.Catalog.Known(context.WithoutCancel(ctx), id)
	if sale, ok := s.Catalog.Get(id); ok {
		return sale, nil
	}
	return nil, noSuchSale()
}

// identify returns who sent the request, by its token, unless they or their
// address ask too often. The address comes first: it costs less than a token,
// and forged ones count too.
func (s *Server) identify(r *http.Request) (auth.Identity, error) {
	if s.addresses.On() {
		if late, ok := s.addresses.Take(address(r, s.TrustedProxies)); !ok {
			return auth.Identity{}, tooOften(late)
		}
	}
	values := r.Header["Authorization"]
	if len(values) == 0 {
		return auth.Identity{}, &problem.Failure{Type: unauthenticated, Challenge: "Bearer"}
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !ok || len(values) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return auth.Identity{}, &problem.Failure{Type: unauthenticated, Challenge: "Bearer"}
	}
	who, err := s.Tokens.Verify(token)
	if err != nil {
		return who, &problem.Failure{Type: unauthenticated, Cause: err, Challenge: `Bearer error="invalid_token"`} //nolint:gosec // a challenge, not a credential
	}
	if late, ok := s.shoppers.Take(who.Shopper); !ok {
		return who, tooOften(late)
	}
	return who, nil
}

// shopper is identify for those who need no more than the name.
func (s *Server) shopper(r *http.Request) (string, error) {
	who, err := s.identify(r)
	return who.Shopper, err
}

// buyer returns who wants to buy, if they may buy of this sale.
func (s *Server) buyer(r *http.Request, sale *catalog.Snapshot) (string, error) {
	who, err := s.identify(r)
	if err == nil && sale.RequireClaim != "" && !who.Holds(sale.RequireClaim) {
		err = problem.New(forbidden, nil)
	}
	return who.Shopper, err
}

func tooOften(late time.Duration) *problem.Failure {
	n := seconds(late)
	return &problem.Failure{Type: rateLimited, Retry: problem.RetryAfter(n, n+rateLimited.RetryMax)}
}

// gate refuses while the orders could not be carried on: before anything is
// deducted, and never at a shopper's cost.
func (s *Server) gate() error {
	if s.Gate == nil {
		return nil
	}
	switch err := s.Gate(); {
	case err == nil:
		return nil
	case errors.Is(err, ErrBacklog):
		return problem.New(backlog, nil)
	default: // said once by the breaker, not by every request
		return notReserved(nil)
	}
}

// reserve takes the units and answers.
func (s *Server) reserve(w http.ResponseWriter, r *http.Request, sale *catalog.Snapshot, o order.Order) error {
	ctx := s.accepting.of(r.Context())
	got, err := s.reserved(ctx, o)
	switch {
	case errors.Is(got.Err, stock.ErrReplay) && got.Entry != nil:
		return s.replay(ctx, w, r, o, got.Entry)
	case got.Err != nil:
		return s.refused(sale, o.ShopperID, got)
	case errors.Is(err, stock.ErrBusy):
		return problem.New(overloaded, nil)
	case errors.Is(err, stock.ErrUnavailable):
		return notReserved(nil)
	case err != nil:
		return reservationUnknown(sale.ID, err)
	}
	o.Slot = got.Slot
	s.publish(ctx, o)
	s.Metrics.accepted.Inc()
	if err := failpoint.Hit(ctx, failpoint.BeforeAnswer); err != nil {
		return reservationUnknown(sale.ID, err)
	}
	v := pendingView(o)
	s.accepted(w, r, &v, 0)
	return nil
}

// reserved asks for the units. Its span lasts as long as the batch is waited for
// and under way.
func (s *Server) reserved(ctx context.Context, o order.Order) (stock.Reservation, error) {
	ctx, span := s.Tracer.Start(ctx, "reserve")
	got, err := s.Reserver.Reserve(ctx, o)
	span.ID("seckill.sale.id", o.SaleID)
	span.ID("seckill.order.id", int64(o.ID))
	if got.Err != nil {
		span.Text("seckill.refusal", got.Err.Error())
	}
	span.End(err)
	return got, err
}

// publish sends the order on its way. Where that fails, or may have, the
// sweeper settles it from the reservation; told so, it does not wait until the
// order is due.
func (s *Server) publish(ctx context.Context, o order.Order) {
	err := s.Publisher.Publish(ctx, o)
	if err == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), urgentWithin)
	defer cancel()
	if urgentErr := s.Stock.Urgent(ctx, o.SaleID, o); urgentErr != nil {
		err = errors.Join(err, urgentErr)
	}
	s.logs.error(ctx, "order left to the sweeper", slog.Int64("sale_id", o.SaleID),
		slog.String("order_id", o.ID.String()), slog.Any("err", err))
}

// accepted answers 202. The first poll of a new order is due in about a second.
func (s *Server) accepted(w http.ResponseWriter, r *http.Request, v *view, age time.Duration) {
	public := s.seal(v.Order)
	w.Header()["Location"] = []string{orderPath(public)}
	s.writeOrder(w, r, http.StatusAccepted, v, public, age)
}
