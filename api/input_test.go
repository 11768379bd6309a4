package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
	"seckill/stock"
)

func TestBadBodies(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 100) + strings.Repeat("]", 100)
	tests := []struct {
		body   string
		status int
		code   string
	}{
		{`{"user_id":1}`, 400, "unexpected-field"},
		{`{"quantity":1,"sku":"x"}`, 400, "unexpected-field"},
		{`{"":1}`, 400, "unexpected-field"},
		{`{"a":{"b":[1,"}"]},"quantity":1}`, 400, "unexpected-field"},
		{`null`, 400, "malformed-json"},
		{`[]`, 400, "malformed-json"},
		{`1`, 400, "malformed-json"},
		{`"quantity"`, 400, "malformed-json"},
		{` `, 400, "malformed-json"},
		{`{`, 400, "malformed-json"},
		{`{"quantity"`, 400, "malformed-json"},
		{`{"quantity":}`, 400, "malformed-json"},
		{`{"quantity":1,}`, 400, "malformed-json"},
		{`{"quantity":1} {}`, 400, "malformed-json"},
		{`{"quantity":1}x`, 400, "malformed-json"},
		{"\ufeff{}", 400, "malformed-json"},
		{`{"quantity":1,"quantity":1}`, 400, "malformed-json"},
		{`{"quantity":1,"quantit\u0079":1}`, 400, "malformed-json"},
		{`{"x":1,"x":1}`, 400, "malformed-json"},
		{`{"Quantity":1}`, 400, "malformed-json"},
		{`{"REFERENCE":"x"}`, 400, "malformed-json"},
		{`{"user_id":1,"Quantity":1}`, 400, "malformed-json"},
		{`{"quantity":1.5}`, 400, "malformed-json"},
		{`{"quantity":1.0}`, 400, "malformed-json"},
		{`{"quantity":1e0}`, 400, "malformed-json"},
		{`{"quantity":"1"}`, 400, "malformed-json"},
		{`{"quantity":null}`, 400, "malformed-json"},
		{`{"quantity":true}`, 400, "malformed-json"},
		{`{"quantity":[1]}`, 400, "malformed-json"},
		{`{"quantity":01}`, 400, "malformed-json"},
		{`{"quantity":18446744073709551616}`, 400, "malformed-json"},
		{`{"reference":1}`, 400, "malformed-json"},
		{`{"reference":null}`, 400, "malformed-json"},
		{"{\"reference\":\"\xff\"}", 400, "malformed-json"},
		{"{\"reference\":\"a\nb\"}", 400, "malformed-json"},
		{`{"x":` + deep + `}`, 400, "malformed-json"},
		{deep, 400, "malformed-json"},
		{`{"quantity":0}`, 422, "validation"},
		{`{"quantity":-0}`, 422, "validation"},
		{`{"quantity":-1}`, 422, "validation"},
		{`{"quantity":4}`, 422, "validation"},
		{`{"quantity":9223372036854775807}`, 422, "validation"},
		{`{"reference":"` + strings.Repeat("a", 65) + `"}`, 422, "validation"},
		{`{"reference":"é"}`, 422, "validation"},
		{`{"reference":"a\u0000"}`, 422, "validation"},
		{`{"reference":"a\r\nb"}`, 422, "validation"},
		{`{"reference":"` + strings.Repeat("a", 5000) + `"}`, 413, "too-large"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%.40q", tt.body), func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			problem(t, s.buy(t, tt.body), tt.status, tt.code)
			require.Empty(t, s.backends.calls())
		})
	}
}

func TestEveryBadFieldIsNamed(t *testing.T) {
	t.Parallel()
	a := newShop(t).buy(t, `{"quantity":0,"reference":"é"}`)
	require.Equal(t, []any{
		map[string]any{"pointer": "/quantity", "detail": "must be 1 to 3"},
		map[string]any{"pointer": "/reference", "detail": "must be at most 64 printable ASCII characters"},
	}, a.body["errors"])
}

func TestGoodBodies(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]order.Order{
		"":               {Quantity: 1},
		"{}":             {Quantity: 1},
		" { } ":          {Quantity: 1},
		`{"quantity":3}`: {Quantity: 3},
		"{\n\t\"quantity\" : 2 ,\r\n\"reference\":\"a\" }":             {Quantity: 2, Reference: "a"},
		`{"reference":"'; DROP TABLE orders;-- <script> \"\\ \u0041"}`: {Quantity: 1, Reference: `'; DROP TABLE orders;-- <script> "\ A`},
	} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			a := s.buy(t, body)
			require.Equal(t, 202, a.StatusCode, a.text)
			o := s.backends.published[0]
			require.Equal(t, want, order.Order{Quantity: o.Quantity, Reference: o.Reference})
			if want.Reference != "" {
				require.Equal(t, want.Reference, a.str("reference"))
			}
		})
	}
}

func TestIdempotencyKeys(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string][]string{
		"too long": {strings.Repeat("k", 65)}, "empty": {""}, "sent twice": {"a", "a"}, "control": {"a\tb"}, "not ASCII": {"é"},
	} {
		s := newShop(t)
		r := request(http.MethodPost, buyPath, "{}")
		r.Header["Idempotency-Key"] = keys
		problem(t, s.do(t, r), 400, "idempotency-key-invalid")
		require.Empty(t, s.backends.calls(), name)
	}
	s := newShop(t)
	require.Equal(t, 202, s.buy(t, "", "Idempotency-Key", strings.Repeat("k", 64)).StatusCode)
	require.Equal(t, order.KeyDigest(strings.Repeat("k", 64)), s.backends.published[0].Key)
}

func TestMediaTypes(t *testing.T) {
	t.Parallel()
	for header, ok := range map[string]bool{
		"application/json": true, "Application/JSON; charset=UTF-8": true, "application/json; charset=latin1": false,
		"": false, "text/plain": false, "application/x-www-form-urlencoded": false, "application/json, text/plain": false, "application/jsonx": false,
	} {
		s := newShop(t)
		a := s.buy(t, "{}", "Content-Type", header)
		if ok {
			require.Equal(t, 202, a.StatusCode, header)
			continue
		}
		problem(t, a, 415, "unsupported-media")
		require.Empty(t, a.Header.Get("Connection"))
		require.Empty(t, s.backends.calls())
	}
	s := newShop(t)
	for _, encoding := range []string{"gzip", "identity", "br"} {
		problem(t, s.buy(t, "{}", "Content-Encoding", encoding), 415, "unsupported-media")
	}
	require.Equal(t, 202, s.buy(t, "", "Content-Type", "text/plain").StatusCode, "no body has no type")
	for size, connection := range map[int64]string{-1: "close", 0: ""} { // of chunks nobody knows the size
		r := request(http.MethodPost, buyPath, "", "Content-Encoding", "gzip")
		r.ContentLength = size
		require.Equal(t, connection, s.do(t, r).Header.Get("Connection"))
	}
}

func TestUnknownSalesAndPathsReachNoStore(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	paths := []string{
		"/v1/sales/8/orders", "/v1/sales/07001/orders", "/v1/sales/+7001/orders", "/v1/sales/-1/orders", "/v1/sales/0/orders",
		"/v1/sales/7001%00/orders", "/v1/sales/../orders", "/v1/sales/%2e%2e/orders", "/v1/sales/7001/orders/", "/v1/sales//orders",
		"/v1/sales/9223372036854775808/orders", "/v1/sales/99999999999999999999/orders", "/v1/sales/1'%20OR%201=1/orders", "/v1/sales/KEYS[1]/orders", "/v1/nothing",
	}
	for _, path := range paths {
		problem(t, s.do(t, request(http.MethodPost, path, "{}")), 404, "not-found")
	}
	for _, path := range []string{"/admin", "/admin/v1/sales", "/metrics", "/debug/pprof/", "/livez", "/readyz", "/shopper/../api.go", "/etc/passwd"} {
		problem(t, s.get(t, path), 404, "not-found")
	}
	s.backends.reset()
	began := time.Now()
	for id := range 500 {
		problem(t, s.do(t, request(http.MethodPost, fmt.Sprintf("/v1/sales/%d/orders", id+100_000), "{}")), 404, "not-found")
		problem(t, s.get(t, fmt.Sprintf("/v1/sales/%d", id+100_000)), 404, "not-found")
	}
	looks := 1 + int(time.Since(began)/time.Second) // more on a busy machine
	asked := map[string]int{}
	for _, what := range s.backends.calls() {
		asked[what]++
	}
	for what, times := range asked {
		require.LessOrEqual(t, times, looks, "%s: one look a second for all of them", what)
	}
	require.LessOrEqual(t, len(asked), 2, "a look asks for the sales and their metas, and 1,000 requests nothing else: %v", asked)
}

func TestASaleMadeAMomentAgoIsFound(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.backends.set(func() {
		s.backends.sales = append(s.backends.sales, saleAt(7002))
		s.backends.metas[7002] = metaOf(saleAt(7002))
	})
	require.Equal(t, 202, s.do(t, request(http.MethodPost, "/v1/sales/7002/orders", "{}")).StatusCode)
}

func TestOtherMethodsAre405WithAllow(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for path, allow := range map[string]string{buyPath: "POST", "/v1/sales": "GET", "/v1/sales/7001": "GET", "/v1/orders": "GET", "/v1/orders/x": "GET", "/v1/time": "GET"} {
		for _, method := range []string{http.MethodDelete, http.MethodPut, http.MethodPatch} {
			a := s.do(t, request(method, path, ""))
			problem(t, a, 405, "method-not-allowed")
			require.Contains(t, a.Header.Get("Allow"), allow)
		}
	}
	problem(t, s.get(t, buyPath), 405, "method-not-allowed")
}

func TestAPanicIsA500LoggedOnce(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.backends.reserve = func(stock.Purchase) (stock.Reservation, error) { panic("boom") }
	a := s.buy(t, "{}", "X-Request-Id", "req-1")
	problem(t, a, 500, "internal")
	require.NotContains(t, a.text, "boom")
	require.Equal(t, "req-1", a.Header.Get("X-Request-Id"))
	require.Equal(t, 1, strings.Count(s.logs.String(), "\n"))
	require.Contains(t, s.logs.String(), `"request_id":"req-1"`)
	require.Contains(t, s.logs.String(), "boom")
	require.NotContains(t, s.logs.String(), "lines_skipped")
}

func TestEscapesCannotForgeALogLine(t *testing.T) {
	t.Parallel()
	s := newShop(t, func(s *shop) { s.opts.Limits.AccessLog = 1 })
	r := request(http.MethodGet, "/v1/orders/%0d%0a%1b[31mfake", "", "X-Request-Id", "a\r\nb", "User-Agent", "x\r\n{\"level\":\"ERROR\"}\x1b[2J")
	problem(t, s.do(t, r), 404, "not-found")
	require.Equal(t, 1, strings.Count(s.logs.String(), "\n"))
	require.NotContains(t, s.logs.String(), "\x1b")
	require.NotContains(t, s.logs.String(), "\r")
}

func TestARequestIDThatIsNotPlainIsReplaced(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for _, id := range []string{"", "a b", "é", strings.Repeat("a", 65), "<x>", "/", ":", "@", "[", "`", "{"} {
		got := s.get(t, "/v1/time", "X-Request-Id", id).Header.Get("X-Request-Id")
		require.NotEqual(t, id, got)
		require.NotEmpty(t, got)
	}
	plain := "azAZ09-_." + strings.Repeat("a", 55)
	require.Equal(t, plain, s.get(t, "/v1/time", "X-Request-Id", plain).Header.Get("X-Request-Id"))
	s.catalog.MarkSoldOut(openSale)
	require.Equal(t, "mine", s.buy(t, "", "X-Request-Id", "mine").Header.Get("X-Request-Id"))
	require.Empty(t, s.buy(t, "", "X-Request-Id", "a\nb").Header.Get("X-Request-Id"))
}
