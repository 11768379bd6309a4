package api_test

import (
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"seckill/api"
	"seckill/stock"
)

func TestSalesAreShownAsTheContractSays(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	a := s.get(t, "/v1/sales/7001", "Authorization", "")
	require.Equal(t, 200, a.StatusCode, a.text)
	require.Equal(t, "public, max-age=1", a.Header.Get("Cache-Control"))
	sale := s.backends.sales[0]
	const layout = "2006-01-02T15:04:05.000Z"
	want := map[string]any{
		"id": "7001", "title": sale.Title, "sku": "s-1", "price_minor": 9900.0, "currency": "CNY", "state": "open",
		"starts_at": sale.StartsAt.UTC().Format(layout), "ends_at": sale.EndsAt.UTC().Format(layout), "orders_per_shopper": 2.0,
		"units_per_order": 3.0, "stock": map[string]any{"total": 100.0, "display": "available"},
	}
	require.Equal(t, want, a.body)
	list := s.get(t, "/v1/sales", "Authorization", "")
	require.Equal(t, map[string]any{"sales": []any{want}}, list.body)
	require.Equal(t, "public, max-age=1", list.Header.Get("Cache-Control"))
	require.Empty(t, s.backends.calls())
	problem(t, s.get(t, "/v1/sales/8"), 404, "not-found")
	problem(t, s.get(t, "/v1/sales/x"), 404, "not-found")
	s.catalog.MarkSoldOut(openSale)
	require.Equal(t, "sold_out", s.get(t, "/v1/sales/7001").str("state"))
}

func TestTheTimeIsThatOfRedis(t *testing.T) {
	t.Parallel()
	s := newShop(t, func(s *shop) { s.backends.now = func() time.Time { return time.Now().Add(time.Hour) } })
	got, _ := s.get(t, "/v1/time").body["unix_ms"].(float64)
	require.InDelta(t, time.Now().Add(time.Hour).UnixMilli(), got, 5000)
}

func TestProblemsExplainThemselves(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	a := s.get(t, "/problems/sold-out")
	require.Equal(t, 200, a.StatusCode)
	require.Contains(t, a.text, "Sold out (sold-out, 409)")
	require.Contains(t, s.get(t, "/problems/malformed-json").text, "(malformed-json, 400)", "the first of them")
	require.Contains(t, s.get(t, "/problems/sold-out", "Accept-Language", "zh-TW").text, "已售罄")
	problem(t, s.get(t, "/problems/nope"), 404, "not-found")
}

func TestLanguages(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for header, want := range map[string]string{
		"": "en", "zh-CN": "zh-CN", "zh": "zh-CN", "ZH-hans-CN": "zh-CN", "en-GB,zh;q=0.9": "en", "fr,de": "en",
		"en;q=0.1, zh;q=0.2": "zh-CN", "zh;q=0,en;q=0.1": "en", "zh;q=x": "en", ",,;;q": "en", "zhx": "en",
	} {
		a := s.get(t, "/v1/orders", "Accept-Language", header)
		problem(t, a, 422, "validation")
		require.Equal(t, want, a.Header.Get("Content-Language"), header)
	}
}

func TestThePagesAskNoOtherHost(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for path, kind := range map[string]string{
		"/": "text/html", "/shopper/page.js": "text/javascript", "/shopper/page.css": "text/css",
		"/docs": "text/html", "/docs/page.js": "text/javascript",
		"/docs/swagger-ui/swagger-ui-bundle.js": "text/javascript", "/docs/swagger-ui/swagger-ui.css": "text/css",
	} {
		a := s.get(t, path, "Authorization", "")
		require.Equal(t, 200, a.StatusCode, path)
		require.Equal(t, 304, s.get(t, path, "If-None-Match", "W/"+a.Header.Get("ETag")).StatusCode, path)
		require.Contains(t, a.Header.Get("Content-Type"), kind)
		require.Contains(t, a.Header.Get("Content-Security-Policy"), "default-src 'none'")
		require.NotContains(t, a.Header.Get("Content-Security-Policy"), "unsafe")
		require.Equal(t, "nosniff", a.Header.Get("X-Content-Type-Options"))
		for _, link := range regexp.MustCompile(`(?:src|href)="(/[^"]+)"`).FindAllStringSubmatch(a.text, -1) {
			require.Equal(t, 200, s.get(t, link[1]).StatusCode, "%s in %s", link[1], path)
		}
		if strings.HasPrefix(path, "/docs/swagger-ui/") {
			continue // held back by the policy alone
		}
		require.NotContains(t, a.text, "//cdn")
		require.NotRegexp(t, `(src|href)="https?:`, a.text)
		require.NotRegexp(t, `style="| on[a-z]+="|<script>|innerHTML|eval\(`, a.text)
		require.LessOrEqual(t, strings.Count(a.text, "\n"), 200)
	}
}

func TestOtherOriginsAreLetInByName(t *testing.T) {
	t.Parallel()
	s := newShop(t, func(s *shop) { s.opts.CORSOrigins = []string{"https://shop.example"} })
	s.catalog.MarkSoldOut(openSale)
	pre := s.do(t, request(http.MethodOptions, buyPath, "", "Authorization", "", "Origin", "https://shop.example", "Access-Control-Request-Method", "POST"))
	require.Equal(t, 204, pre.StatusCode)
	require.Equal(t, "https://shop.example", pre.Header.Get("Access-Control-Allow-Origin"))
	require.Contains(t, pre.Header.Get("Access-Control-Allow-Headers"), "Idempotency-Key")
	require.Contains(t, pre.Header.Get("Access-Control-Allow-Methods"), "POST")
	require.Equal(t, "86400", pre.Header.Get("Access-Control-Max-Age"))
	a := s.buy(t, "", "Origin", "https://shop.example")
	problem(t, a, 409, "sold-out")
	require.Equal(t, "https://shop.example", a.Header.Get("Access-Control-Allow-Origin"))
	for _, name := range []string{"Location", "Retry-After", "Idempotent-Replayed"} {
		require.Contains(t, a.Header.Get("Access-Control-Expose-Headers"), name)
	}
	for _, origin := range []string{"https://evil.example", "null", "https://shop.example.evil"} {
		pre := s.do(t, request(http.MethodOptions, buyPath, "", "Origin", origin, "Access-Control-Request-Method", "POST"))
		require.Empty(t, pre.Header.Get("Access-Control-Allow-Origin"), origin)
		require.Equal(t, "Origin", pre.Header.Get("Vary"))
	}
	none := newShop(t)
	require.Empty(t, none.get(t, "/v1/time", "Origin", "https://shop.example").Header.Get("Access-Control-Allow-Origin"))
}

func TestShoppersOfAnyCaseAreTwo(t *testing.T) {
	t.Parallel()
	s := newShop(t, func(s *shop) { s.opts.Limits.ShopperRPS, s.opts.Limits.ShopperBurst = 0.001, 1 })
	for _, shopper := range []string{"Abc", "abc"} {
		require.Equal(t, 202, s.buy(t, "", "Authorization", "bearer "+token(shopper)).StatusCode)
		require.Equal(t, 429, s.buy(t, "", "Authorization", "bearer "+token(shopper)).StatusCode)
		require.Equal(t, 429, s.do(t, request(http.MethodPost, "/v1/orders/x/cancel", "", "Authorization", "bearer "+token(shopper))).StatusCode)
	}
	require.Equal(t, "Abc", s.backends.published[0].ShopperID)
}

func TestAShoppersBucketFillsAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, func(s *shop) { s.opts.Limits.ShopperRPS, s.opts.Limits.ShopperBurst = 10, 50 })
		count := func() (n int) {
			for s.get(t, "/v1/orders?sale_id=x").StatusCode == http.StatusUnprocessableEntity {
				n++
			}
			return n
		}
		require.Equal(t, 50, count())
		require.Zero(t, count())
		time.Sleep(time.Second)
		require.Equal(t, 10, count())
		time.Sleep(time.Hour)
		require.Equal(t, 50, count())
	})
}

func TestAddressesCountBySocketUnlessAProxyIsTrusted(t *testing.T) {
	t.Parallel()
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	tests := []struct {
		name               string
		first, second      string // remote address, X-Forwarded-For
		forward1, forward2 string
		same               bool
	}{
		{"same", "1.2.3.4:1", "1.2.3.4:2", "", "", true},
		{"other", "1.2.3.4:1", "1.2.3.5:1", "", "", false},
		{"spoofed", "1.2.3.4:1", "1.2.3.4:1", "9.9.9.9", "8.8.8.8", true},
		{"behind the proxy", "10.0.0.1:1", "10.0.0.2:1", "1.2.3.4", "1.2.3.4", true},
		{"two behind the proxy", "10.0.0.1:1", "10.0.0.1:1", "1.2.3.4", "1.2.3.5", false},
		{"spoofed behind the proxy", "10.0.0.1:1", "10.0.0.1:1", "9.9.9.9, 1.2.3.4", "8.8.8.8, 1.2.3.4", true},
		{"two proxies", "10.0.0.1:1", "10.0.0.1:1", "1.2.3.4, 10.0.0.9", "1.2.3.4", true},
		{"one /64", "[2001:db8:0:1::1]:1", "[2001:db8:0:1:ffff::2]:1", "", "", true},
		{"two /64", "[2001:db8:0:1::1]:1", "[2001:db8:0:2::1]:1", "", "", false},
		{"IPv4 in IPv6", "1.2.3.4:1", "[::ffff:1.2.3.4]:1", "", "", true},
		{"ports", "10.0.0.1:1", "10.0.0.1:1", "203.0.113.9:4711", "203.0.113.9:4712", true},
		{"two with ports", "10.0.0.1:1", "10.0.0.1:1", "203.0.113.9:4711", "203.0.113.8:4711", false},
		{"port and none", "10.0.0.1:1", "10.0.0.1:1", "203.0.113.9:4711", "203.0.113.9", true},
		{"IPv6 with a port", "10.0.0.1:1", "10.0.0.1:1", "[2001:db8::1]:443", "2001:db8::2", true},
		{"two /64 with ports", "10.0.0.1:1", "10.0.0.1:1", "[2001:db8:0:1::1]:443", "[2001:db8:0:2::1]:443", false},
		{"IPv6 in brackets", "10.0.0.1:1", "10.0.0.1:1", "[2001:db8:0:1::1]", "[2001:db8:0:2::1]", false},
		{"in quotes", "10.0.0.1:1", "10.0.0.1:1", `"[2001:db8:0:1::1]:443"`, `"203.0.113.9"`, false},
		{"tabs", "10.0.0.1:1", "10.0.0.1:1", "9.9.9.9,\t203.0.113.9:1", "203.0.113.9", true},
		{"ports of two proxies", "10.0.0.1:1", "10.0.0.1:1", "203.0.113.9:1, 10.0.0.9:80", "203.0.113.8:1, 10.0.0.9:80", false},
		{"unreadable", "10.0.0.1:1", "10.0.0.1:1", "unknown", "_hidden", true},
		{"IPv4 in brackets", "10.0.0.1:1", "10.0.0.1:1", "[203.0.113.9]", "[203.0.113.8]", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, func(s *shop) { s.opts.Limits.AddressRPS, s.opts.TrustedProxies = 0.01, proxies })
			call := func(remote, forwarded, shopper string) int {
				r := request(http.MethodGet, "/v1/orders?sale_id=7001", "", "X-Forwarded-For", forwarded, "Authorization", "Bearer "+token(shopper))
				r.RemoteAddr = remote
				return s.do(t, r).StatusCode
			}
			require.Equal(t, 200, call(tt.first, tt.forward1, "1"))
			require.Equal(t, tt.same, call(tt.second, tt.forward2, "2") == 429)
		})
	}
}

func TestWhatATrustedProxyWroteAndNobodyCanReadIsSaidInTheLog(t *testing.T) {
	t.Parallel()
	s := newShop(t, func(s *shop) {
		s.opts.Limits.AddressRPS, s.opts.TrustedProxies = 10, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	})
	r := request(http.MethodGet, "/v1/time", "", "X-Forwarded-For", "unknown")
	r.RemoteAddr = "10.0.0.1:1"
	require.Equal(t, 200, s.do(t, r).StatusCode)
	require.Contains(t, s.logs.String(), `"proxy":"10.0.0.1","header":"unknown"`)
}

func TestTheLimitOfAnAddressCoversEveryRoute(t *testing.T) {
	t.Parallel()
	for _, call := range []struct{ method, path string }{
		{"GET", "/v1/time"},
		{"GET", "/v1/sales"},
		{"GET", "/v1/sales/7001"},
		{"HEAD", "/v1/sales/7001"},
		{"POST", buyPath},
		{"POST", "/v1/sales/7002/orders"}, // refused by the fast path
		{"POST", "/v1/sales/7001/permits"},
		{"GET", "/v1/orders/x"},
		{"GET", "/v1/orders?sale_id=7001"},
		{"POST", "/v1/orders/x/cancel"},
		{"POST", "/v1/payments"}, // its signature is no good
		{"GET", "/problems/sold-out"},
		{"GET", "/openapi.json"},
		{"GET", "/docs"},
		{"GET", "/nowhere"},
	} {
		t.Run(call.method+call.path, func(t *testing.T) {
			t.Parallel()
			s, _, _ := newPayments(t)
			s.backends.sales = append(s.backends.sales, saleAt(7002))
			s.refresh(t)
			s.catalog.MarkSoldOut(7002)
			s.server.SetLimits(api.Limits{AddressRPS: 0.01, BuyInflight: 1, PollInflight: 1})
			require.NotEqual(t, 429, s.do(t, request(call.method, call.path, "{}")).StatusCode)
			refused := s.do(t, request(call.method, call.path, "{}"))
			require.Equal(t, 429, refused.StatusCode)
			require.NotEmpty(t, refused.Header.Get("Retry-After"))
		})
	}
}

func TestPagesAreServedWhereTheyAreTurnedOn(t *testing.T) {
	t.Parallel()
	on, off := newShop(t), newShop(t, func(s *shop) { s.opts.Pages = false })
	for _, path := range []string{"/", "/docs"} {
		require.Equal(t, 200, on.get(t, path).StatusCode, path)
		require.Equal(t, 404, off.get(t, path).StatusCode, path)
	}
	require.Equal(t, 200, off.get(t, "/openapi.json").StatusCode)
}

func TestWhatIsCounted(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	s := newShop(t, func(s *shop) { s.opts.Metrics = api.NewMetrics(reg) })
	s.buy(t, "")
	s.buy(t, "{")
	s.get(t, "/nowhere")
	s.catalog.MarkSoldOut(openSale)
	s.buy(t, "")
	got := map[string]float64{}
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			if v := m.GetCounter().GetValue(); v > 0 {
				got[f.GetName()+" "+strings.Join(labels, " ")] = v
			}
		}
	}
	require.Equal(t, map[string]float64{
		"seckill_http_requests_total 202 /v1/sales/:id/orders": 1,
		"seckill_http_requests_total 400 /v1/sales/:id/orders": 1,
		"seckill_http_requests_total 404 none":                 1,
		"seckill_http_requests_total 409 /v1/sales/:id/orders": 1,
		"seckill_orders_accepted_total ":                       1,
		"seckill_orders_refused_total malformed-json":          1,
		"seckill_orders_refused_total sold-out":                1,
	}, got)
}

func TestOutagesDoNotFloodTheLog(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.backends.reserve = nil
	began := time.Now()
	for range 200 {
		s.backends.set(func() { s.backends.idErr = stock.ErrUnknown })
		s.buy(t, "")
	}
	require.LessOrEqual(t, strings.Count(s.logs.String(), "\n"), 21+int(20*time.Since(began).Seconds()), "20 a second after the first 20")
	require.Contains(t, s.logs.String(), "outcome unknown")
}
