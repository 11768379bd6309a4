//go:build e2e

package test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"seckill/api"
)

// badShop is a shop with open sales, to which the tests send bad requests.
type badShop struct {
	*shop
	open, soldOut, gated string // sales; the last one requires a claim and a permit
	token                string
	client               *http.Client
}

// ask is a request and the response that it must get.
type ask struct {
	name, method, path, body string
	headers                  []string // as send has them
	status                   int
	code                     string
}

func (b *badShop) do(t *testing.T, url string, a ask) response {
	t.Helper()
	if !slices.Contains(a.headers, "Authorization") {
		a.headers = append([]string{"Authorization", "Bearer " + b.token}, a.headers...)
	}
	res, err := send(b.client, a.method, url+a.path, a.body, a.headers...)
	require.NoError(t, err)
	return res
}

// refused sends each request, checks its response, and that nobody wrote to the stores.
func (b *badShop) refused(t *testing.T, asks []ask) {
	t.Helper()
	before := b.holdings(t, b.open, b.soldOut, b.gated)
	for _, a := range asks {
		t.Run(a.name, func(t *testing.T) {
			res := b.do(t, b.urls[0], a)
			require.Equal(t, a.status, res.status, res.text)
			var p struct {
				Code   string `json:"code"`
				Type   string `json:"type"`
				Title  string `json:"title"`
				Detail string `json:"detail"`
				Status int    `json:"status"`
			}
			require.NoError(t, json.Unmarshal([]byte(res.text), &p), res.text)
			require.Equal(t, "application/problem+json", res.header.Get("Content-Type"))
			require.Equal(t, a.code, p.Code, res.text)
			require.Equal(t, "/problems/"+a.code, p.Type)
			require.Equal(t, a.status, p.Status)
			require.NotEmpty(t, p.Title)
			require.NotEmpty(t, p.Detail)
			if a.status == http.StatusMethodNotAllowed {
				require.NotEmpty(t, res.header.Get("Allow"))
			}
			if a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable {
				require.NotEmpty(t, res.header.Get("Retry-After"))
			}
		})
	}
	require.Equal(t, before, b.holdings(t, b.open, b.soldOut, b.gated), "the stores are as they were")
}

func (b *badShop) buy(name, body string, status int, code string, headers ...string) ask {
	return ask{name, http.MethodPost, "/v1/sales/" + b.open + "/orders", body, headers, status, code}
}

func newBadShop(t *testing.T, env map[string]string) *badShop {
	t.Helper()
	env["SECKILL_LOG_FORMAT"] = "json"
	b := &badShop{shop: newShop(t, env, 1, 1), client: &http.Client{Transport: agreed.transport(http.DefaultTransport)}}
	b.token = b.tokens(42, 1)[0]
	b.open = b.sale(saleTerms{stock: 50, perShopper: 2, units: 3})
	b.soldOut = b.sale(saleTerms{stock: 0})
	b.gated = b.sale(saleTerms{stock: 50, permit: true, claim: "verified_buyer"})
	return b
}

// sign makes a token that is good but for what the claims say; nil takes one
// away.
func (b *badShop) sign(t *testing.T, m jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	t.Helper()
	all := jwt.MapClaims{"sub": "42", "iss": "seckill", "aud": "shoppers", "exp": time.Now().Add(time.Hour).Unix()}
	for k, v := range claims {
		all[k] = v
		if v == nil {
			delete(all, k)
		}
	}
	text, err := jwt.NewWithClaims(m, all).SignedString(key)
	require.NoError(t, err)
	return text
}

func (b *badShop) secret() []byte { return []byte(b.setting("SECKILL_JWT_SECRETS")) }

func TestBadInputIsRefusedAndChangesNothing(t *testing.T) {
	b := newBadShop(t, beside(t))
	t.Run("tokens", b.badTokens)
	t.Run("bodies", func(t *testing.T) { b.refused(t, b.badBodies()) })
	t.Run("headers", func(t *testing.T) { b.refused(t, b.badHeaders()) })
	t.Run("paths and methods", func(t *testing.T) { b.refused(t, b.badPaths()) })
	t.Run("sales that do not sell", b.closedSales)
	t.Run("permits and claims", b.badPermits)
	t.Run("orders of others", b.foreignOrders)
	t.Run("keys", b.keys)
	t.Run("payments", b.badPayments)
	t.Run("floods", b.floods)
	t.Run("on the wire", b.badWire)
	t.Run("a lost answer", b.lostAnswer)
	t.Run("the operators' port", b.adminPort)
	t.Run("challenges", b.badChallenges)
	t.Run("what is logged", func(t *testing.T) {
		require.Contains(t, b.logged(t), `"msg":"request failed"`, "the challenge's provider did not answer")
	})
}

func (b *badShop) badTokens(t *testing.T) {
	hs := jwt.SigningMethodHS256
	good := b.sign(t, hs, b.secret(), nil)
	res := b.do(t, b.urls[0], ask{method: "GET", path: "/v1/orders?sale_id=" + b.open, headers: []string{"Authorization", "Bearer " + good}})
	require.Equal(t, http.StatusOK, res.status, "the token that the bad ones are made from is valid")
	bad := map[string]string{
		"absent": "", "garbage": "Bearer garbage", "empty": "Bearer ", "no scheme": good, "Basic": "Basic NDI6NDI=", "of 5 KiB": "Bearer " + strings.Repeat("a.", 2500),
		"alg none":       "Bearer " + b.sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"wrong key":      "Bearer " + b.sign(t, hs, []byte(strings.Repeat("x", 32)), nil),
		"another hash":   "Bearer " + b.sign(t, jwt.SigningMethodHS512, b.secret(), nil),
		"signature cut":  "Bearer " + good[:len(good)-2],
		"another's body": "Bearer " + strings.Join([]string{strings.Split(good, ".")[0], strings.Split(b.sign(t, hs, []byte(strings.Repeat("x", 32)), jwt.MapClaims{"sub": "43"}), ".")[1], strings.Split(good, ".")[2]}, "."),
	}
	for name, claims := range map[string]jwt.MapClaims{
		"expired": {"exp": time.Now().Add(-time.Minute).Unix()}, "without an expiry": {"exp": nil}, "not yet good": {"nbf": time.Now().Add(time.Hour).Unix()},
		"wrong audience": {"aud": "operators"}, "no audience": {"aud": nil}, "wrong issuer": {"iss": "me"}, "no subject": {"sub": nil}, "empty subject": {"sub": ""},
		"subject of 65 bytes": {"sub": strings.Repeat("s", 65)}, "subject with a space": {"sub": "a b"}, "subject not ASCII": {"sub": "ábc"}, "subject with a NUL": {"sub": "a\x00"},
		"subject with CRLF": {"sub": "a\r\nb"}, "subject a number": {"sub": 42},
	} {
		bad[name] = "Bearer " + b.sign(t, hs, b.secret(), claims)
	}
	var asks []ask
	for name, header := range bad {
		asks = append(asks, b.buy(name, "{}", 401, "unauthenticated", "Authorization", header))
	}
	asks = append(asks,
		b.buy("two of them", "{}", 401, "unauthenticated", "Authorization", "Bearer "+good, "Authorization", "Bearer "+good),
		ask{"poll", "GET", "/v1/orders/" + strings.Repeat("A", 32), "", []string{"Authorization", ""}, 401, "unauthenticated"},
		ask{"list", "GET", "/v1/orders?sale_id=" + b.open, "", []string{"Authorization", ""}, 401, "unauthenticated"},
		ask{"cancel", "POST", "/v1/orders/" + strings.Repeat("A", 32) + "/cancel", "", []string{"Authorization", ""}, 401, "unauthenticated"},
		ask{"permit", "POST", "/v1/sales/" + b.gated + "/permits", "", []string{"Authorization", ""}, 401, "unauthenticated"})
	b.refused(t, asks)
}

func (b *badShop) badBodies() []ask {
	deep := strings.Repeat(`{"a":`, 2000) + "1" + strings.Repeat("}", 2000)
	asks := []ask{
		b.buy("a user_id", `{"quantity":1,"user_id":7}`, 400, "unexpected-field"), b.buy("a price", `{"price_minor":1}`, 400, "unexpected-field"),
		b.buy("quantity 0", `{"quantity":0}`, 422, "validation"), b.buy("quantity -1", `{"quantity":-1}`, 422, "validation"),
		b.buy("above the limit", `{"quantity":4}`, 422, "validation"), b.buy("a huge quantity", `{"quantity":9223372036854775807}`, 422, "validation"),
		b.buy("a reference too long", `{"reference":"`+strings.Repeat("r", 65)+`"}`, 422, "validation"), b.buy("escapes in the reference", `{"reference":"\u001b[31m\r\n"}`, 422, "validation"),
		b.buy("over 4 KiB, declared", `{"reference":"`+strings.Repeat("r", 5000)+`"}`, 413, "too-large"),
	}
	for name, body := range map[string]string{
		"quantity 1.5": `{"quantity":1.5}`, "a string": `{"quantity":"1"}`, "2^64": `{"quantity":18446744073709551616}`, "1e3": `{"quantity":1e3}`, "null": `null`, "a null quantity": `{"quantity":null}`,
		"trailing data": `{"quantity":1}{}`, "duplicate keys": `{"quantity":1,"quantity":2}`, "duplicate, escaped": `{"quantity":1,"quantit\u0079":2}`, "another case": `{"Quantity":1}`,
		"deep nesting": deep[:4000], "deep and valid": `{"x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`, "bad UTF-8": "{\"reference\":\"\xc3\x28\"}",
		"a list": `[]`, "no JSON": `quantity=1`, "a BOM": "\ufeff{}", "only spaces": "  ", "cut": `{"quantity":1`, "a NUL": "{}\x00", "a comment": `{}//`,
	} {
		asks = append(asks, b.buy(name, body, 400, "malformed-json"))
	}
	return asks
}

func (b *badShop) badHeaders() []ask {
	var asks []ask
	for name, key := range map[string]string{"65 characters": strings.Repeat("k", 65), "a tab": "a\tb", "not ASCII": "é"} {
		asks = append(asks, b.buy("Idempotency-Key: "+name, "{}", 400, "idempotency-key-invalid", "Idempotency-Key", key))
	}
	asks = append(asks, b.buy("Idempotency-Key twice", "{}", 400, "idempotency-key-invalid", "Idempotency-Key", "a", "Idempotency-Key", "a"))
	for _, media := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json; charset=utf-16", "application/xml", "application/json, text/plain"} {
		asks = append(asks, b.buy("Content-Type: "+media, "{}", 415, "unsupported-media", "Content-Type", media))
	}
	for _, coding := range []string{"gzip", "deflate", "br", "identity", "gzip, gzip"} {
		asks = append(asks, b.buy("Content-Encoding: "+coding, "{}", 415, "unsupported-media", "Content-Encoding", coding))
	}
	return asks
}

func (b *badShop) badPaths() []ask {
	var asks []ask
	for _, id := range []string{
		"1", "0", "-1", "+" + b.open, "0" + b.open, b.open + "%00", "%00", "..", "%2e%2e", "..%2f..%2fetc%2fpasswd", "9223372036854775808", strings.Repeat("9", 40), "1%27%20OR%201=1--",
		"KEYS[1]", "%7B" + b.open + "%7D", "*", "%0d%0aSET%20x%201", "%1b%5b31m", b.open + "%20", "1;DROP%20TABLE%20sales", "\u0661",
	} {
		asks = append(asks, ask{"buy of " + id, "POST", "/v1/sales/" + id + "/orders", "{}", nil, 404, "not-found"},
			ask{"sale " + id, "GET", "/v1/sales/" + id, "", nil, 404, "not-found"},
			ask{"permit of " + id, "POST", "/v1/sales/" + id + "/permits", "", nil, 404, "not-found"})
	}
	for _, id := range []string{"x", strings.Repeat("A", 32), strings.Repeat("A", 31), "%0d%0a%1b[31m", "1%27%20OR%201=1", "..", strings.Repeat("A", 4000), "%00", strings.Repeat("A", 16) + "%0a" + strings.Repeat("A", 15), strings.Repeat("%0d", 32)} {
		asks = append(asks, ask{"order " + id, "GET", "/v1/orders/" + id, "", nil, 404, "not-found"},
			ask{"cancel " + id, "POST", "/v1/orders/" + id + "/cancel", "", nil, 404, "not-found"})
	}
	for _, path := range []string{"/admin", "/admin/v1/sales", "/metrics", "/debug/pprof/", "/debug/pprof/heap", "/livez", "/readyz", "/.git/config", "/v1/../admin", "/shopper/../../go.mod", "//v1/time", "/v1"} {
		asks = append(asks, ask{path, "GET", path, "", nil, 404, "not-found"})
	}
	for _, method := range []string{"GET", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"} {
		asks = append(asks, ask{method, method, "/v1/sales/" + b.open + "/orders", "", nil, 405, "method-not-allowed"})
	}
	asks = append(asks, ask{"POST of sales", "POST", "/v1/sales", "", nil, 405, "method-not-allowed"}, ask{"DELETE of an order", "DELETE", "/v1/orders/x", "", nil, 405, "method-not-allowed"})
	for name, query := range map[string]string{
		"no sale": "", "a bad sale": "sale_id=x", "SQL": "sale_id=1%27--", "limit 0": "sale_id=" + b.open + "&limit=0", "limit 101": "sale_id=" + b.open + "&limit=101", "limit x": "sale_id=" + b.open + "&limit=1.5",
		"a bad cursor": "sale_id=" + b.open + "&cursor=x", "a forged cursor": "sale_id=" + b.open + "&cursor=" + strings.Repeat("A", 32),
	} {
		asks = append(asks, ask{"list: " + name, "GET", "/v1/orders?" + query, "", nil, 422, "validation"})
	}
	return asks
}

func (b *badShop) closedSales(t *testing.T) {
	early := b.sale(saleTerms{stock: 1, starts: time.Hour, ends: 2 * time.Hour})
	paused, over, ended := b.sale(saleTerms{stock: 1}), b.sale(saleTerms{stock: 1, starts: -time.Minute, ends: time.Second}), b.sale(saleTerms{stock: 1})
	b.steer("pause", paused)
	b.steer("end", ended)
	require.Eventually(t, func() bool { // a consumer ends it, which is a change of its own
		var state string
		return b.db.QueryRow(`SELECT state FROM sales WHERE id = ?`, over).Scan(&state) == nil && state == "ended"
	}, 30*time.Second, 50*time.Millisecond)
	buy := func(name, sale string, status int, code string, headers ...string) ask {
		return ask{name, "POST", "/v1/sales/" + sale + "/orders", "{}", headers, status, code}
	}
	forged := []string{"Date", time.Now().Add(90 * time.Minute).UTC().Format(http.TimeFormat), "X-Time", "1"}
	before := b.holdings(t, early, paused)
	b.refused(t, []ask{
		buy("before the start", early, 409, "sale-not-open"), buy("before the start, with a forged Date", early, 409, "sale-not-open", forged...),
		buy("after the end", over, 410, "sale-ended"), buy("ended", ended, 410, "sale-ended"), buy("sold out", b.soldOut, 409, "sold-out"), buy("paused", paused, 503, "sale-paused"),
		buy("sold out, without a token", b.soldOut, 409, "sold-out", "Authorization", ""), buy("sold out, with a bad one", b.soldOut, 409, "sold-out", "Authorization", "Bearer x"),
	})
	require.Equal(t, before, b.holdings(t, early, paused))
}

func (b *badShop) badPermits(t *testing.T) {
	vip := "Bearer " + b.sign(t, jwt.SigningMethodHS256, b.secret(), jwt.MapClaims{"verified_buyer": true})
	another := "Bearer " + b.sign(t, jwt.SigningMethodHS256, b.secret(), jwt.MapClaims{"verified_buyer": true, "sub": "43"})
	elsewhere := b.sale(saleTerms{stock: 1, permit: true})
	early := b.sale(saleTerms{stock: 1, starts: time.Hour, ends: 2 * time.Hour, permit: true})
	permit := func(url, sale, bearer string) string {
		res := b.do(t, url, ask{method: "POST", path: "/v1/sales/" + sale + "/permits", headers: []string{"Authorization", bearer}})
		require.Equal(t, http.StatusOK, res.status, res.text)
		var p struct {
			Permit string `json:"permit"`
		}
		require.NoError(t, json.Unmarshal([]byte(res.text), &p))
		return p.Permit
	}
	buy := func(name, bearer, permit string, status int, code string) ask {
		return ask{name, "POST", "/v1/sales/" + b.gated + "/orders", "{}", []string{"Authorization", bearer, api.HeaderPermit, permit}, status, code}
	}
	brief := permit(b.api("SECKILL_PERMIT_VALID=1s"), b.gated, vip)
	good := permit(b.urls[0], b.gated, vip)
	time.Sleep(1200 * time.Millisecond)
	b.refused(t, []ask{
		buy("no claim", "Bearer "+b.token, good, 403, "forbidden"),
		buy("a claim that is no", "Bearer "+b.sign(t, jwt.SigningMethodHS256, b.secret(), jwt.MapClaims{"verified_buyer": "true"}), good, 403, "forbidden"),
		buy("no permit", vip, "", 403, "permit-required"), buy("garbage", vip, "'; --", 403, "permit-invalid"), buy("made up", vip, strings.Repeat("A", 32), 403, "permit-invalid"),
		buy("another shopper's", vip, permit(b.urls[0], b.gated, another), 403, "permit-invalid"), buy("another sale's", vip, permit(b.urls[0], elsewhere, vip), 403, "permit-invalid"),
		buy("expired", vip, brief, 403, "permit-invalid"),
		{"a permit without the claim", "POST", "/v1/sales/" + b.gated + "/permits", "", nil, 403, "forbidden"},
		{"a permit before the start", "POST", "/v1/sales/" + early + "/permits", "", nil, 409, "sale-not-open"},
		{"a permit of a sale that requires none", "POST", "/v1/sales/" + b.open + "/permits", "", nil, 404, "not-found"},
		{"a permit with a field", "POST", "/v1/sales/" + b.gated + "/permits", `{"user_id":1}`, []string{"Authorization", vip}, 400, "unexpected-field"},
		{"a permit with a challenge of 5 KiB", "POST", "/v1/sales/" + b.gated + "/permits", `{"challenge":"` + strings.Repeat("c", 5000) + `"}`, []string{"Authorization", vip}, 413, "too-large"},
	})
	res := b.do(t, b.urls[0], ask{method: "GET", path: "/v1/sales/" + b.gated})
	require.Contains(t, res.text, `"require_permit":true,"require_claim":"verified_buyer"`)
	res = b.do(t, b.urls[0], buy("", vip, good, 0, ""))
	require.Equal(t, http.StatusAccepted, res.status, res.text)
	b.settled(t, b.gated, "confirmed")
}

// badChallenges checks that only what the provider clearly accepts gets a permit.
func (b *badShop) badChallenges(t *testing.T) {
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch answer := r.FormValue("response"); {
		case r.FormValue("secret") != "provider-secret":
			_, _ = io.WriteString(w, `{"success":false,"error-codes":["invalid-input-secret"]}`)
		case answer == "hangs":
			<-r.Context().Done()
		case answer == "right":
			_, _ = io.WriteString(w, `{"success":true}`)
		default:
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"success":false,"error-codes":["invalid-input-response"]}`)
		}
	}))
	defer provider.Close()
	sale := b.sale(saleTerms{stock: 5, permit: true})
	url := b.api("SECKILL_CHALLENGE_URL="+provider.URL, "SECKILL_CHALLENGE_SECRET=provider-secret")
	before := b.holdings(t, sale)
	for _, a := range []ask{
		{"none", "POST", "", "", nil, 403, "challenge-failed"},
		{"wrong", "POST", "", `{"challenge":"wrong"}`, nil, 403, "challenge-failed"},
		{"the provider hangs", "POST", "", `{"challenge":"hangs"}`, nil, 503, "dependency-down"},
		{"right", "POST", "", `{"challenge":"right"}`, nil, 200, ""},
	} {
		a.path = "/v1/sales/" + sale + "/permits"
		res := b.do(t, url, a)
		require.Equal(t, a.status, res.status, "%s: %s", a.name, res.text)
		require.Contains(t, res.text, a.code, a.name)
	}
	require.Equal(t, before, b.holdings(t, sale))
}
