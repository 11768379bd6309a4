package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"seckill/internal/problem"
	"seckill/order"
)

const (
	longestWait = 30 * time.Second
	// recheck is how often a held poll asks again by itself: results are
	// announced without any guarantee.
	recheck = time.Second
	// lookWithin bounds one look at the stores, whatever they do.
	lookWithin = 5 * time.Second
)

// poll answers GET /v1/orders/{id}, at once or, with ?wait=, as soon as there
// is a result.
func (s *Server) poll(c echo.Context) error {
	w, r := c.Response(), c.Request()
	shopper, err := s.shopper(r)
	if err != nil {
		return err
	}
	public := c.Param("id")
	id, saleID, err := s.Sealer.Open(public, shopper)
	if err != nil {
		return problem.New(notFound, nil)
	}
	hold, err := parseWait(r.URL.Query().Get("wait"))
	if err != nil {
		return err
	}
	o := order.Order{ID: id, SaleID: saleID, ShopperID: shopper}
	v, err := s.await(r.Context(), o, hold)
	if err != nil {
		return err
	}
	s.writeOrder(w, r, http.StatusOK, &v, public, s.age(id))
	return nil
}

// parseWait reads 20s or 20; more than may be is the most.
func parseWait(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return min(time.Duration(n)*time.Second, longestWait), nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, invalid("?wait", "must be a duration such as 20s")
	}
	return min(d, longestWait), nil
}

// await looks at the order until it is decided or hold is over. The deadline
// for reading requests does not end it: net/http takes it off while a handler
// runs, and watches the connection.
func (s *Server) await(ctx context.Context, o order.Order, hold time.Duration) (view, error) {
	if hold <= 0 {
		return s.lookOnce(ctx, &pursuit{Order: o})
	}
	// Joined before the first look: a result in between would be missed.
	woken := s.hub.join(o.ID)
	if woken == nil {
		return s.lookOnce(ctx, &pursuit{Order: o})
	}
	defer s.hub.leave(o.ID, woken)
	p := &pursuit{Order: o}
	v, err := s.lookOnce(ctx, p)
	if err != nil || !v.pending() {
		return v, err
	}
	s.Metrics.held.Inc()
	defer s.Metrics.held.Dec()
	return s.hold(ctx, p, v, woken, hold)
}

func (s *Server) hold(ctx context.Context, p *pursuit, v view, woken <-chan struct{}, hold time.Duration) (view, error) {
	over := time.NewTimer(hold)
	defer over.Stop()
	again := time.NewTicker(recheck)
	defer again.Stop()
	drain := s.drain()
	for v.pending() {
		select {
		case <-ctx.Done():
			return v, errGone
		case <-drain:
			return v, nil
		case <-over.C:
			return v, nil
		case <-woken:
		case <-again.C:
		}
		if !s.polling.enter() {
			continue // looked at again in a second
		}
		next, err := s.lookInTime(ctx, p)
		s.polling.leave()
		if err != nil {
			return v, err
		}
		v = next
	}
	return v, nil
}

func (s *Server) lookOnce(ctx context.Context, p *pursuit) (view, error) {
	if !s.polling.enter() {
		return view{}, problem.New(overloaded, nil)
	}
	defer s.polling.leave()
	return s.lookInTime(ctx, p)
}

func (s *Server) lookInTime(ctx context.Context, p *pursuit) (view, error) {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	return s.look(ctx, p)
}
