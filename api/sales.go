package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"seckill/catalog"
	"seckill/internal/appendjson"
	"seckill/internal/lang"
	"seckill/internal/problem"
	"seckill/internal/ratelimit"
	"seckill/internal/readcache"
	"seckill/order"
)

// getTime answers GET /v1/time: the clock by which sales open and end.
func (s *Server) getTime(c echo.Context) error {
	w := c.Response()
	w.Header()["Cache-Control"] = noStore
	var b [48]byte
	out := append(b[:0], `{"unix_ms":`...)
	out = strconv.AppendInt(out, s.catalog.Now().UnixMilli(), 10)
	writeJSON(w, http.StatusOK, append(out, '}'))
	return nil
}

// listSales answers GET /v1/sales: all that are not closed.
func (s *Server) listSales(c echo.Context) error {
	if !s.catalog.Ready() {
		return problem.New(dependencyDown, nil)
	}
	w := c.Response()
	w.Header()["Cache-Control"] = publicSecond
	writeJSON(w, http.StatusOK, s.salesList.of(s.catalog))
	return nil
}

// salesList keeps the list of sales encoded for as long as an answer may be
// cached: anybody may ask for it, at any rate.
type salesList struct{ last atomic.Pointer[encodedSales] }

type encodedSales struct {
	list []*catalog.Snapshot // what is encoded; the catalog never changes a list, it makes a new one
	at   time.Time
	body []byte
}

// of returns the encoded list. The caller must not change it.
func (l *salesList) of(c liveSales) []byte {
	list := c.List()
	if e := l.last.Load(); e != nil && sameList(e.list, list) && time.Since(e.at) < listFor {
		return e.body
	}
	e := &encodedSales{list: list, at: time.Now(), body: appendSales(nil, list, c.Now())}
	l.last.Store(e)
	return e.body
}

const listFor = time.Second

func sameList(a, b []*catalog.Snapshot) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

func appendSales(b []byte, list []*catalog.Snapshot, now time.Time) []byte {
	b = append(b, `{"sales":[`...)
	for i, sale := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendSale(b, sale, now)
	}
	return append(b, "]}"...)
}

// getSale answers GET /v1/sales/{id}.
func (s *Server) getSale(c echo.Context) error {
	id, ok := parseSaleID(c.Param("id"))
	if !ok {
		return noSuchSale()
	}
	sale, err := s.findSale(c.Request().Context(), id)
	if err != nil {
		return err
	}
	buf := takeBuffer()
	defer buf.release()
	buf.b = appendSale(buf.b, sale, s.catalog.Now())
	w := c.Response()
	w.Header()["Cache-Control"] = publicSecond
	writeJSON(w, http.StatusOK, buf.b)
	return nil
}

func appendSale(b []byte, c *catalog.Snapshot, now time.Time) []byte {
	b = append(b, `{"id":"`...)
	b = strconv.AppendInt(b, c.ID, 10)
	b = append(b, `","title":`...)
	b = appendjson.String(b, c.Title)
	b = append(b, `,"sku":`...)
	b = appendjson.String(b, c.SKU)
	b = append(b, `,"price_minor":`...)
	b = strconv.AppendInt(b, c.PriceMinor, 10)
	b = append(b, `,"currency":`...)
	b = appendjson.String(b, c.Currency)
	b = append(b, `,"state":"`...)
	b = append(b, c.Status(now)...)
	b = append(b, `","starts_at":`...)
	b = appendjson.Time(b, c.StartsAt)
	b = append(b, `,"ends_at":`...)
	b = appendjson.Time(b, c.EndsAt)
	b = append(b, `,"orders_per_shopper":`...)
	b = strconv.AppendInt(b, int64(c.OrdersPerShopper), 10)
	b = append(b, `,"units_per_order":`...)
	b = strconv.AppendInt(b, int64(c.UnitsPerOrder), 10)
	if c.AttemptsPerShopper > 0 {
		b = append(b, `,"attempts_per_shopper":`...)
		b = strconv.AppendInt(b, int64(c.AttemptsPerShopper), 10)
	}
	if c.RequirePermit {
		b = append(b, `,"require_permit":true`...)
	}
	if c.RequireClaim != "" {
		b = append(b, `,"require_claim":`...)
		b = appendjson.String(b, c.RequireClaim)
	}
	b = append(b, `,"stock":{"total":`...)
	b = strconv.AppendInt(b, int64(c.Total), 10)
	b = append(b, `,"display":"`...)
	b = append(b, c.Display()...)
	return append(b, `"}}`...)
}

// explainProblem answers GET /problems/{code}, where the type of a problem points.
func (s *Server) explainProblem(c echo.Context) error {
	code := c.Param("code")
	i := slices.IndexFunc(problems, func(p *problem.Type) bool { return p.Code == code })
	if i < 0 {
		return problem.New(notFound, nil)
	}
	p, l := problems[i], lang.Of(c.Request())
	t := p.Text(l)
	w := c.Response()
	h := w.Header()
	h["Cache-Control"] = []string{"public, max-age=3600"}
	h["Content-Type"] = []string{"text/plain; charset=utf-8"}
	h["Content-Language"] = l.Header()
	h.Add("Vary", "Accept-Language")
	body := t.Title + " (" + code + ", " + strconv.Itoa(p.Status) + ")\n\n" + t.Detail + "\n"
	writeBody(w, http.StatusOK, []byte(body))
	return nil
}

const (
	closedSalesKept    = 8192
	closedSalesRate    = 50              // reads a second
	closedSalesTimeout = 2 * time.Second // of statusTimeout: a poll may need two reads
)

var errTooManyReads = errors.New("api: too many reads of unknown sales")

// closedSales reads the sales that the local copy no longer has: their orders
// are still polled and listed. It asks MySQL once for a sale that exists, once a
// second for one that does not, and at a bounded rate for all together.
type closedSales = readcache.Cache[int64, order.Sale]

// newClosedSales returns a cache whose Get returns order.ErrNotFound for a sale
// that does not exist; any other error means that MySQL did not answer.
func newClosedSales(orders store) *closedSales {
	rate := ratelimit.New(closedSalesRate, closedSalesRate, 1)
	fresh := func(err error) time.Duration {
		switch {
		case err == nil:
			return readcache.Forever
		case errors.Is(err, order.ErrNotFound):
			return time.Second
		default:
			return 0
		}
	}
	return readcache.New(closedSalesKept, fresh, func(ctx context.Context, id int64) (order.Sale, error) {
		if _, ok := rate.Take(""); !ok {
			return order.Sale{}, errTooManyReads
		}
		ctx, cancel := context.WithTimeout(ctx, closedSalesTimeout)
		defer cancel()
		return orders.Sale(ctx, id)
	})
}
