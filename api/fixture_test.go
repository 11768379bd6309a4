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

// shop is a Server on fake backends.
type shop struct {
	opts     api.Options
	catalog  *catalog.Catalog
	backends *backends
	logs     *testenv.Logs
	server   *api.Server
	h        http.Handler
}

// newShop returns a shop with one open sale of 100 units, 2 orders of up to 3.
func newShop(tb testing.TB, change ...func(*shop)) *shop {
	tb.Helper()
	b := &backends{sales: []order.Sale{saleAt(openSale)}, metas: map[int64]stock.Meta{}, rows: map[order.ID]order.Record{}, now: time.Now}
	b.metas[openSale] = metaOf(b.sales[0])
	sealer, err := order.NewSealer(bytes.Repeat([]byte{7}, 32))
	require.NoError(tb, err)
	verifier, err := auth.New(auth.Options{Secrets: map[string][]byte{"": []byte(secretKey)}, Issuer: "iss", Audience: "aud"})
	require.NoError(tb, err)
	permits, err := api.NewPermits([][]byte{[]byte(secretKey)}, 2*minute)
	require.NoError(tb, err)
	s := &shop{backends: b, logs: &testenv.Logs{}}
	log := slog.New(slog.NewJSONHandler(s.logs, nil))
	s.opts = api.Options{
		Reserver: b, Publisher: b, Stock: b, Results: b, Lookup: b, Orders: b, IDs: b, Sealer: sealer, Tokens: verifier, Permits: permits, Log: log,
		Pages: true, Limits: api.Limits{BuyInflight: 10, PollInflight: 10, HeldPolls: 10},
	}
	for _, f := range change {
		f(s)
	}
	s.catalog = catalog.New(b.list, b, log)
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
	if !s.backends.noCatalog {
		require.NoError(tb, s.catalog.Refresh(tb.Context()))
	}
	s.backends.reset()
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

// backends is all that a Server calls: Redis, the queue, the database and the IDs. It records the calls.
type backends struct {
	mu        sync.Mutex
	asked     []string // the names of the calls, in order
	sales     []order.Sale
	metas     map[int64]stock.Meta
	entries   []stock.Entry
	rows      map[order.ID]order.Record
	verdicts  []order.Verdict
	published []order.Order
	last      order.ID
	now       func() time.Time
	noCatalog bool
	hangs     string // the call that returns only when its context ends

	reserve                                        func(stock.Purchase) (stock.Reservation, error)
	publishErr, urgentErr, entryErr, rowErr, idErr error
	onResult                                       func(int64, []order.ID)
}

func (b *backends) ask(what string) func() {
	b.mu.Lock()
	b.asked = append(b.asked, what)
	return b.mu.Unlock
}

// wait is ask for a call that may hang.
func (b *backends) wait(ctx context.Context, what string) func() {
	unlock := b.ask(what)
	if b.hangs == what {
		unlock()
		<-ctx.Done()
		b.mu.Lock()
	}
	return unlock
}

func (b *backends) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = nil
}

func (b *backends) calls() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.asked)
}

func (b *backends) set(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

func (b *backends) list(context.Context) ([]order.Sale, error) {
	defer b.ask("sales")()
	return b.sales, nil
}

func (b *backends) Metas(_ context.Context, ids []int64) ([]stock.Meta, error) {
	defer b.ask("metas")()
	ms := make([]stock.Meta, len(ids))
	for i, id := range ids {
		ms[i] = b.metas[id]
		ms[i].Now = b.now()
	}
	return ms, nil
}

func (b *backends) Now(context.Context) (time.Time, error) { return b.now(), nil }

func (b *backends) Listen(ctx context.Context, onResult func(int64, []order.ID), _ func(int64)) error {
	b.set(func() { b.onResult = onResult })
	<-ctx.Done()
	return nil
}

func (b *backends) Next() (order.ID, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = max(b.last+1, idAt(b.now()))
	return b.last, b.idErr
}

func (b *backends) Reserve(ctx context.Context, p stock.Purchase) (stock.Reservation, error) {
	defer b.ask("reserve")()
	if ctx.Err() != nil {
		return stock.Reservation{}, stock.ErrUnknown
	}
	if b.reserve != nil {
		return b.reserve(p)
	}
	return stock.Reservation{}, nil
}

func (b *backends) Publish(ctx context.Context, o order.Order) error {
	defer b.ask("publish")()
	if err := ctx.Err(); err != nil {
		return err
	}
	b.published = append(b.published, o)
	return b.publishErr
}

func (b *backends) Urgent(ctx context.Context, _ int64, _ ...order.Order) error {
	defer b.ask("urgent")()
	if err := ctx.Err(); err != nil {
		return err
	}
	return b.urgentErr
}

func (b *backends) Entry(ctx context.Context, _ int64, _ string, id order.ID) (stock.Entry, bool, error) {
	es, err := b.Entries(ctx, 0, "")
	for _, e := range es {
		if e.ID == id {
			return e, true, nil
		}
	}
	return stock.Entry{}, false, err
}

func (b *backends) Entries(ctx context.Context, _ int64, _ string) ([]stock.Entry, error) {
	defer b.wait(ctx, "entries")()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if b.entryErr != nil {
		return nil, b.entryErr
	}
	return b.entries, nil
}

func (b *backends) Get(ctx context.Context, id order.ID) (order.Record, error) {
	defer b.wait(ctx, "lookup")()
	if err := ctx.Err(); err != nil {
		return order.Record{}, err
	}
	if b.rowErr != nil {
		return order.Record{}, b.rowErr
	}
	r, ok := b.rows[id]
	if !ok {
		return r, order.ErrNotFound
	}
	return r, nil
}

func (b *backends) ByShopper(ctx context.Context, _ int64, shopper string, before order.ID, limit int) ([]order.Record, error) {
	defer b.wait(ctx, "byshopper")()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var rs []order.Record
	for _, r := range b.rows {
		if r.ShopperID == shopper && r.ID < before {
			rs = append(rs, r)
		}
	}
	slices.SortFunc(rs, func(a, b order.Record) int { return int(b.ID - a.ID) })
	return rs[:min(limit, len(rs))], b.rowErr
}

func (b *backends) Verdicts(ctx context.Context, os []order.Order) ([]order.Verdict, []order.Order, error) {
	defer b.wait(ctx, "verdicts")()
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	for _, v := range b.verdicts {
		if order.Same(v.Order, os[0]) {
			return []order.Verdict{v}, nil, nil
		}
	}
	return nil, os, b.rowErr
}

func (b *backends) Sale(ctx context.Context, id int64) (order.Sale, error) {
	defer b.wait(ctx, "sale")()
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
