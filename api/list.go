package api

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/labstack/echo/v4"

	"seckill/internal/appendjson"
	"seckill/internal/lang"
	"seckill/internal/problem"
	"seckill/order"
	"seckill/stock"
)

const (
	defaultPage = 20
	largestPage = 100
)

// page is which orders are listed: those older than before, newest first.
type page struct {
	saleID  int64
	shopper string
	before  order.ID
	limit   int
}

// listOrders answers GET /v1/orders: the shopper's orders of one sale, pending
// ones included, so that a shopper who lost an answer finds the order. Both stores
// must answer: a part of the orders would look like all of them.
func (s *Server) listOrders(c echo.Context) error {
	w, r := c.Response(), c.Request()
	shopper, err := s.shopper(r)
	if err != nil {
		return err
	}
	p, err := s.parsePage(r.URL.Query(), shopper)
	if err != nil {
		return err
	}
	if !s.polling.enter() {
		return problem.New(overloaded, nil)
	}
	defer s.polling.leave()
	views, err := s.findOrders(r.Context(), p)
	if err != nil {
		return err
	}
	s.writeList(w, r, views, p)
	return nil
}

func (s *Server) parsePage(q url.Values, shopper string) (page, error) {
	p := page{shopper: shopper, before: math.MaxInt64, limit: defaultPage}
	var ok bool
	if p.saleID, ok = parseSaleID(q.Get("sale_id")); !ok {
		return p, invalid("?sale_id", "is required: the ID of a sale")
	}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > largestPage {
			return p, invalid("?limit", "must be 1 to "+strconv.Itoa(largestPage))
		}
		p.limit = n
	}
	if text := q.Get("cursor"); text != "" {
		id, saleID, err := s.sealer.Open(text, shopper)
		if err != nil || saleID != p.saleID {
			return p, invalid("?cursor", "must be the next_cursor of the page before")
		}
		p.before = id
	}
	return p, nil
}

// findOrders returns up to one order more than the page has: it shows that there
// is a next page.
func (s *Server) findOrders(ctx context.Context, p page) ([]view, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	var currency string
	sale, err := s.findSale(ctx, p.saleID)
	if f, ok := errors.AsType[*problem.Failure](err); ok && f.Type == notFound { // closed, or unknown
		closed, err := s.closedSales.Get(ctx, p.saleID)
		if errors.Is(err, order.ErrNotFound) {
			return nil, noSuchSale()
		}
		if err != nil {
			return nil, problem.New(dependencyDown, err)
		}
		currency = closed.Currency
	} else if err != nil {
		return nil, err
	}
	var entries []stock.Entry
	if sale != nil {
		if !sale.Meta.Loaded && sale.Sale.State.Loaded() { // Redis lost the pending orders and is being loaded
			return nil, problem.New(dependencyDown, nil)
		}
		currency = sale.Currency
		if entries, err = s.stock.Entries(ctx, p.saleID, p.shopper); err != nil {
			return nil, problem.New(dependencyDown, err)
		}
	}
	rows, err := s.orders.ByShopper(ctx, p.saleID, p.shopper, p.before, p.limit+1)
	if err != nil {
		return nil, problem.New(dependencyDown, err)
	}
	return merge(rows, entries, p, currency), nil
}

// merge adds the pending entries to the rows. If an order has both, its row
// counts.
func merge(rows []order.Record, entries []stock.Entry, p page, currency string) []view {
	views := make([]view, 0, len(rows)+len(entries))
	for _, r := range rows {
		views = append(views, recordView(r, currency))
	}
	for _, e := range entries {
		decided := slices.ContainsFunc(rows, func(r order.Record) bool { return r.ID == e.ID })
		if e.State == stock.EntryPending && e.ID < p.before && !decided {
			o := e.Order
			o.SaleID, o.ShopperID = p.saleID, p.shopper
			views = append(views, pendingView(o))
		}
	}
	slices.SortFunc(views, func(a, b view) int { return cmp.Compare(b.ID, a.ID) })
	return views[:min(len(views), p.limit+1)]
}

func (s *Server) writeList(w http.ResponseWriter, r *http.Request, views []view, p page) {
	l := lang.Of(r)
	more := len(views) > p.limit
	views = views[:min(len(views), p.limit)]
	buf := takeBuffer()
	defer buf.release()
	b := buf.b
	b = append(b, `{"orders":[`...)
	var public string
	for i := range views {
		if i > 0 {
			b = append(b, ',')
		}
		v := &views[i]
		public = s.seal(v.Order)
		b = appendView(b, v, public, pollAfter(s.age(v.ID)), l)
	}
	b = append(b, `],"next_cursor":`...)
	if more {
		b = appendjson.String(b, public)
	} else {
		b = append(b, "null"...)
	}
	b = append(b, '}')
	buf.b = b
	h := w.Header()
	h["Cache-Control"] = noStore
	h["Content-Language"] = l.Header()
	writeJSON(w, http.StatusOK, buf.b)
}
