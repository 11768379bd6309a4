package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"seckill/internal/problem"
	"seckill/order"
)

const (
	longestWait = 30 * time.Second
	// recheck is how often a held poll asks again by itself: announcements of
	// results may be lost.
	recheck = time.Second
)

// poll answers GET /v1/orders/{id}: at once or, with ?wait=, as soon as there is
// a result.
func (s *Server) poll(c echo.Context) error {
	w, r := c.Response(), c.Request()
	shopper, err := s.shopper(r)
	if err != nil {
		return err
	}
	public := c.Param("id")
	id, saleID, err := s.sealer.Open(public, shopper)
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

// parseWait reads 20s or 20, at most longestWait.
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

// await asks for the order's status until it is decided or hold is over. The
// deadline for reading requests does not end it: net/http takes it off while a
// handler runs, and watches the connection.
func (s *Server) await(ctx context.Context, o order.Order, hold time.Duration) (view, error) {
	q := &statusQuery{Order: o}
	if hold <= 0 || !s.heldPolls.enter(o.ShopperID) {
		return s.boundedStatus(ctx, q)
	}
	defer s.heldPolls.leave(o.ShopperID)
	// It joins before the first query: a result in between would be missed.
	woken := s.waiters.join(o.ID)
	if woken == nil {
		return s.boundedStatus(ctx, q)
	}
	defer s.waiters.leave(o.ID, woken)
	v, err := s.boundedStatus(ctx, q)
	if err != nil || !v.pending() {
		return v, err
	}
	s.metrics.held.Inc()
	defer s.metrics.held.Dec()
	return s.hold(ctx, q, v, woken, hold)
}

func (s *Server) hold(ctx context.Context, q *statusQuery, v view, woken <-chan struct{}, hold time.Duration) (view, error) {
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
		next, err := s.boundedStatus(ctx, q)
		if f, ok := errors.AsType[*problem.Failure](err); ok && f.Type == overloaded {
			continue // it asks again in a second
		}
		if err != nil {
			return v, err
		}
		v = next
	}
	return v, nil
}

// waiters are the polls that wait for the result of an order. Their number is
// bounded, by 0 at first.
type waiters struct {
	mu      sync.Mutex
	limit   int
	held    int
	waiting map[order.ID][]chan struct{}
}

func newWaiters() *waiters {
	return &waiters{waiting: make(map[order.ID][]chan struct{})}
}

// setLimit changes the limit; polls that wait already go on.
func (w *waiters) setLimit(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limit = n
}

// join returns a channel that gets a value when a result of the order is
// announced from now on; nil if the limit of held polls is reached. A poll that
// joined must leave.
func (w *waiters) join(id order.ID) chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held >= w.limit {
		return nil
	}
	w.held++
	woken := make(chan struct{}, 1)
	w.waiting[id] = append(w.waiting[id], woken)
	return woken
}

func (w *waiters) leave(id order.ID, woken chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held--
	rest := slices.DeleteFunc(w.waiting[id], func(c chan struct{}) bool { return c == woken })
	if len(rest) == 0 {
		delete(w.waiting, id)
		return
	}
	w.waiting[id] = rest
}

// wake wakes the polls that wait for one of the orders.
func (w *waiters) wake(_ int64, ids []order.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		for _, c := range w.waiting[id] {
			select {
			case c <- struct{}{}:
			default: // woken already
			}
		}
	}
}
