package api

import (
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
)

// time answers GET /v1/time: the clock by which sales open and end.
func (s *Server) time(c echo.Context) error {
	w := c.Response()
	w.Header()["Cache-Control"] = noStore
	var b [48]byte
	out := append(b[:0], `{"unix_ms":`...)
	out = strconv.AppendInt(out, s.Catalog.Now().UnixMilli(), 10)
	writeJSON(w, http.StatusOK, append(out, '}'))
	return nil
}

// sales answers GET /v1/sales: all that are not closed.
func (s *Server) sales(c echo.Context) error {
	if !s.Catalog.Ready() {
		return problem.New(dependencyDown, nil)
	}
	w := c.Response()
	w.Header()["Cache-Control"] = publicSecond
	writeJSON(w, http.StatusOK, s.shown.of(s.Catalog))
	return nil
}

// salesBody keeps the list of sales encoded, for as long as an answer may be
// cached: anybody may ask for it, as often as they like.
type salesBody struct{ last atomic.Pointer[encodedSales] }

type encodedSales struct {
	list []*catalog.Snapshot // of which; the catalog never changes a list, it makes another
	at   time.Time
	body []byte
}

// of returns the encoded list. Nobody may write to it.
func (l *salesBody) of(c liveSales) []byte {
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

// sale answers GET /v1/sales/{id}.
func (s *Server) sale(c echo.Context) error {
	id, ok := parseSaleID(c.Param("id"))
	if !ok {
		return noSuchSale()
	}
	sale, err := s.known(c.Request().Context(), id)
	if err != nil {
		return err
	}
	buf := takeBuffer()
	defer buf.release()
	buf.b = appendSale(buf.b, sale, s.Catalog.Now())
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

// explain answers GET /problems/{code}, where the type of a problem points.
func (s *Server) explain(c echo.Context) error {
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
