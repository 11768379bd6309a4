package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"seckill/api"
	"seckill/catalog"
	"seckill/internal/auth"
	"seckill/internal/testenv"
	"seckill/order"
	"seckill/stock"
)

const (
	openSale  int64 = 7001
	minute          = time.Minute
	secretKey       = "a secret of at least thirty-two bytes"
)

// shop is a Server on fakes, which count how often they are asked.
type shop struct {
	opts    api.Options
	catalog *catalog.Catalog
	world   *world
	logs    *testenv.Logs
	server  *api.Server
	h       http.Handler
}

// newShop returns a shop with one open sale of 100 units, 2 orders of up to 3.
func newShop(tb testing.TB, change ...func(*shop)) *shop {
	tb.Helper()
	w := &world{sales: []order.Sale{saleAt(openSale)}, metas: map[int64]stock.Meta{}, rows: map[order.ID]order.Record{}, now: time.Now}
	w.metas[openSale] = metaOf(w.sales[0])
	sealer, err := order.NewSealer(bytes.Repeat([]byte{7}, 32))
	require.NoError(tb, err)
	verifier, err := auth.New(auth.Options{Secrets: map[string][]byte{"": []byte(secretKey)}, Issuer: "iss", Audience: "aud"})
	require.NoError(tb, err)
	permits, err := api.NewPermits([][]byte{[]byte(secretKey)}, 2*minute)
	require.NoError(tb, err)
	s := &shop{world: w, logs: &testenv.Logs{}}
	log := slog.New(slog.NewJSONHandler(s.logs, nil))
	s.opts = api.Options{
		Reserver: w, Publisher: w, Stock: w, Results: w, Lookup: w, Orders: w, IDs: w, Sealer: sealer, Tokens: verifier, Permits: permits, Log: log,
		Pages: true, Limits: api.Limits{BuyInflight: 10, PollInflight: 10, HeldPolls: 10},
	}
	for _, f := range change {
		f(s)
	}
	s.catalog = catalog.New(w.list, w, log)
	s.opts.Catalog = s.catalog
	s.reopen(tb)
	return s
}

// reopen makes the server anew, with the options as they are.
func (s *shop) reopen(tb testing.TB) {
	tb.Helper()
	s.refresh(tb)
	s.server = api.New(s.opts)
	s.h = agreed.Handler(s.server.Handler(), func(err error) { tb.Error(err) })
}

func (s *shop) refresh(tb testing.TB) {
	tb.Helper()
	if !s.world.noCatalog {
		require.NoError(tb, s.catalog.Refresh(tb.Context()))
	}
	s.world.reset()
}

func saleAt(id int64) order.Sale {
	now := time.Now()
	return order.Sale{
		ID: id, Title: `A "shirt" <b>`, SKU: "s-1", PriceMinor: 9900, Currency: "CNY", Total: 100, Available: 100, OrdersPerShopper: 2,
		UnitsPerOrder: 3, StartsAt: now.Add(-minute), EndsAt: now.Add(60 * minute), PayWithin: 10 * minute, State: order.SaleOpen,
	}
}

func metaOf(s order.Sale) stock.Meta {
	return stock.Meta{Loaded: true, State: s.State, StartsAt: s.StartsAt, EndsAt: s.EndsAt, Total: int64(s.Total), Available: int64(s.Available)}
}

// world is every store behind the front.
type world struct {
	mu        sync.Mutex
	asked     []string // which stores, in order
	sales     []order.Sale
	metas     map[int64]stock.Meta
	entries   []stock.Entry
	rows      map[order.ID]order.Record
	verdicts  []order.Verdict
	published []order.Order
	last      order.ID
	now       func() time.Time
	noCatalog bool
	hangs     string // the store that answers when the caller gives up, and not before

	reserve                                        func(stock.Purchase) (stock.Reservation, error)
	publishErr, urgentErr, entryErr, rowErr, idErr error
	onResult                                       func(int64, []order.ID)
}

func (w *world) ask(what string) func() {
	w.mu.Lock()
	w.asked = append(w.asked, what)
	return w.mu.Unlock
}

// wait is ask for a store that may hang.
func (w *world) wait(ctx context.Context, what string) func() {
	unlock := w.ask(what)
	if w.hangs == what {
		unlock()
		<-ctx.Done()
		w.mu.Lock()
	}
	return unlock
}

func (w *world) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = nil
}

func (w *world) calls() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.asked)
}

func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *world) list(context.Context) ([]order.Sale, error) {
	defer w.ask("sales")()
	return w.sales, nil
}

func (w *world) Metas(_ context.Context, ids []int64) ([]stock.Meta, error) {
	defer w.ask("metas")()
	ms := make([]stock.Meta, len(ids))
	for i, id := range ids {
		ms[i] = w.metas[id]
		ms[i].Now = w.now()
	}
	return ms, nil
}

func (w *world) Now(context.Context) (time.Time, error) { return w.now(), nil }

func (w *world) Listen(ctx context.Context, onResult func(int64, []order.ID), _ func(int64)) error {
	w.set(func() { w.onResult = onResult })
	<-ctx.Done()
	return nil
}

func (w *world) Next() (order.ID, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = max(w.last+1, idAt(w.now()))
	return w.last, w.idErr
}

func (w *world) Reserve(ctx context.Context, p stock.Purchase) (stock.Reservation, error) {
	defer w.ask("reserve")()
	if ctx.Err() != nil {
		return stock.Reservation{}, stock.ErrUnknown
	}
	if w.reserve != nil {
		return w.reserve(p)
	}
	return stock.Reservation{}, nil
}

func (w *world) Publish(ctx context.Context, o order.Order) error {
	defer w.ask("publish")()
	if err := ctx.Err(); err != nil {
		return err
	}
	w.published = append(w.published, o)
	return w.publishErr
}

func (w *world) Urgent(ctx context.Context, _ int64, _ ...order.Order) error {
	defer w.ask("urgent")()
	if err := ctx.Err(); err != nil {
		return err
	}
	return w.urgentErr
}

func (w *world) Entry(ctx context.Context, _ int64, _ string, id order.ID) (stock.Entry, bool, error) {
	es, err := w.Entries(ctx, 0, "")
	for _, e := range es {
		if e.ID == id {
			return e, true, nil
		}
	}
	return stock.Entry{}, false, err
}

func (w *world) Entries(ctx context.Context, _ int64, _ string) ([]stock.Entry, error) {
	defer w.wait(ctx, "entries")()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if w.entryErr != nil {
		return nil, w.entryErr
	}
	return w.entries, nil
}

func (w *world) Get(ctx context.Context, id order.ID) (order.Record, error) {
	defer w.wait(ctx, "lookup")()
	if err := ctx.Err(); err != nil {
		return order.Record{}, err
	}
	if w.rowErr != nil {
		return order.Record{}, w.rowErr
	}
	r, ok := w.rows[id]
	if !ok {
		return r, order.ErrNotFound
	}
	return r, nil
}

func (w *world) ByShopper(ctx context.Context, _ int64, shopper string, before order.ID, limit int) ([]order.Record, error) {
	defer w.wait(ctx, "byshopper")()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var rs []order.Record
	for _, r := range w.rows {
		if r.ShopperID == shopper && r.ID < before {
			rs = append(rs, r)
		}
	}
	slices.SortFunc(rs, func(a, b order.Record) int { return int(b.ID - a.ID) })
	return rs[:min(limit, len(rs))], w.rowErr
}

func (w *world) Verdicts(ctx context.Context, os []order.Order) ([]order.Verdict, []order.Order, error) {
	defer w.wait(ctx, "verdicts")()
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	for _, v := range w.verdicts {
		if order.Same(v.Order, os[0]) {
			return []order.Verdict{v}, nil, nil
		}
	}
	return nil, os, w.rowErr
}

func (w *world) Sale(ctx context.Context, id int64) (order.Sale, error) {
	defer w.wait(ctx, "sale")()
	if err := ctx.Err(); err != nil {
		return order.Sale{}, err
	}
	if id == closedSale {
		return order.Sale{ID: id, Currency: "EUR", State: order.SaleClosed}, nil
	}
	return order.Sale{}, order.ErrNotFound
}

const closedSale int64 = 6000

// idAt is the first order ID of t.
func idAt(t time.Time) order.ID {
	zero := order.ID(0).Time()
	return order.ID(t.Sub(zero).Milliseconds() << 22)
}

func token(shopper string) string {
	return sign(jwt.SigningMethodHS256, []byte(secretKey), "", jwt.MapClaims{"sub": shopper})
}

// sign makes a token that is valid but for what the claims say.
func sign(m jwt.SigningMethod, key any, kid string, claims jwt.MapClaims) string {
	all := jwt.MapClaims{"sub": "42", "iss": "iss", "aud": "aud", "exp": time.Now().Add(60 * minute).Unix()}
	for k, v := range claims {
		all[k] = v
		if v == nil {
			delete(all, k)
		}
	}
	t := jwt.NewWithClaims(m, all)
	if kid != "" {
		t.Header["kid"] = kid
	}
	text, err := t.SignedString(key)
	if err != nil {
		panic(err)
	}
	return text
}

// answer is a response, read.
type answer struct {
	*http.Response
	text string
	body map[string]any
}

func (a answer) str(key string) string {
	s, _ := a.body[key].(string)
	return s
}

func request(method, path, body string, headers ...string) *http.Request {
	var rd io.Reader
	if body != "" {
		rd = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, path, rd)
	r.Header.Set("Authorization", "Bearer "+token("42"))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Del(headers[i])
		if headers[i+1] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	return r
}

func (s *shop) do(tb testing.TB, r *http.Request) answer {
	tb.Helper()
	rec := httptest.NewRecorder()
	s.h.ServeHTTP(rec, r)
	a := answer{Response: rec.Result(), text: rec.Body.String()}
	if strings.Contains(a.Header.Get("Content-Type"), "json") {
		require.NoError(tb, json.Unmarshal(rec.Body.Bytes(), &a.body), a.text)
	}
	return a
}

func (s *shop) get(tb testing.TB, path string, headers ...string) answer {
	tb.Helper()
	return s.do(tb, request(http.MethodGet, path, "", headers...))
}

const buyPath = "/v1/sales/7001/orders"

func (s *shop) buy(tb testing.TB, body string, headers ...string) answer {
	tb.Helper()
	return s.do(tb, request(http.MethodPost, buyPath, body, headers...))
}

func (s *shop) publicID(o order.Order) string { return s.opts.Sealer.Seal(o.ID, o.SaleID, o.ShopperID) }

// problem checks that an answer is this problem, complete.
func problem(tb testing.TB, a answer, status int, code string) {
	tb.Helper()
	require.Equal(tb, status, a.StatusCode, a.text)
	require.Equal(tb, "application/problem+json", a.Header.Get("Content-Type"))
	require.Equal(tb, code, a.str("code"), a.text)
	require.Equal(tb, "/problems/"+code, a.str("type"))
	require.EqualValues(tb, status, a.body["status"])
	require.NotEmpty(tb, a.str("title"))
	require.NotEmpty(tb, a.str("detail"))
	require.Equal(tb, "no-store", a.Header.Get("Cache-Control"))
}
