//go:build e2e

package test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"seckill/internal/webhook"
	ordermysql "seckill/order/mysql"
)

// privateShopper is a shopper whose ID may be in no log.
const privateShopper = "shopper-zq81x"

func (b *badShop) bearer(t *testing.T, shopper string) string {
	t.Helper()
	return "Bearer " + b.sign(t, jwt.SigningMethodHS256, b.secret(), jwt.MapClaims{"sub": shopper})
}

// bought buys and returns the answer's Location.
func (b *badShop) bought(t *testing.T, sale, bearer, key, body string) (location string, replayed bool) {
	t.Helper()
	res := b.do(t, b.urls[0], ask{method: "POST", path: "/v1/sales/" + sale + "/orders", body: body, headers: []string{"Authorization", bearer, "Idempotency-Key", key}})
	require.Equal(t, http.StatusAccepted, res.status, res.text)
	return res.header.Get("Location"), res.header.Get("Idempotent-Replayed") == "true"
}

// settled waits until every order of a sale has this status in MySQL, Redis has the
// verdicts, and the sweeper has removed what was due.
func (b *badShop) settled(t *testing.T, sale, status string) {
	t.Helper()
	require.Eventually(t, func() bool {
		due, err := b.rdb.LLen(t.Context(), "seckill:{"+sale+"}:d").Result()
		require.NoError(t, err)
		r := b.audit(sale)
		var all, such int
		require.NoError(t, b.db.QueryRow(`SELECT COUNT(*), COALESCE(SUM(status = ?), 0) FROM orders WHERE sale_id = ?`, status, sale).Scan(&all, &such))
		return r.OK && r.Sales[0].Pending == 0 && all > 0 && all == such && due == 0
	}, 60*time.Second, 100*time.Millisecond)
}

func (b *badShop) foreignOrders(t *testing.T) {
	mine := b.bearer(t, privateShopper)
	location, _ := b.bought(t, b.open, mine, "foreign", `{"quantity":2,"reference":"'; DROP TABLE orders;-- $(id) {{1}}"}`)
	b.settled(t, b.open, "confirmed")
	id := strings.TrimPrefix(location, "/v1/orders/")
	flipped := id[:31] + map[bool]string{true: "B", false: "A"}[id[31] == 'A']
	answers := map[string]bool{}
	before := b.holdings(t, b.open)
	for _, path := range []string{location, "/v1/orders/" + flipped, "/v1/orders/" + strings.Repeat("A", 32), location + "?wait=20s"} {
		for _, method := range []string{"GET", "POST"} {
			a := ask{method: method, path: path}
			if method == "POST" {
				a.path = strings.Replace(path, "?wait=20s", "", 1) + "/cancel"
			}
			began := time.Now()
			res := b.do(t, b.urls[0], a)
			require.Equal(t, http.StatusNotFound, res.status, res.text)
			require.Less(t, time.Since(began), 3*time.Second, "nothing is waited for")
			answers[res.text] = true
		}
	}
	require.Len(t, answers, 1, "another shopper's order gets the same answer as one that does not exist")
	res := b.do(t, b.urls[0], ask{method: "GET", path: "/v1/orders?sale_id=" + b.open + "&cursor=" + id})
	require.Equal(t, http.StatusUnprocessableEntity, res.status, res.text)
	require.Equal(t, before, b.holdings(t, b.open))
	res = b.do(t, b.urls[0], ask{method: "GET", path: location, headers: []string{"Authorization", mine}})
	require.Contains(t, res.text, `'; DROP TABLE orders;-- $(id) {{1}}`, "kept as it was sent")
}

func (b *badShop) keys(t *testing.T) {
	mine, upper := b.bearer(t, "abc"), b.bearer(t, "Abc")
	first, replayed := b.bought(t, b.open, mine, "key", `{"quantity":1}`)
	require.False(t, replayed)
	other, replayed := b.bought(t, b.open, upper, "key", `{"quantity":1}`)
	require.False(t, replayed, "another shopper's key is another key, and Abc is not abc")
	require.NotEqual(t, first, other)
	b.settled(t, b.open, "confirmed")
	before := b.holdings(t, b.open)
	again, replayed := b.bought(t, b.open, mine, "key", ` { "quantity" : 1 } `)
	require.True(t, replayed)
	require.Equal(t, first, again)
	res := b.do(t, b.urls[0], b.buy("", `{"quantity":2}`, 0, "", "Authorization", mine, "Idempotency-Key", "key"))
	require.Equal(t, http.StatusUnprocessableEntity, res.status)
	require.Contains(t, res.text, `"code":"idempotency-key-reused"`)
	require.Equal(t, before, b.holdings(t, b.open))
}

func (b *badShop) badPayments(t *testing.T) {
	mine := b.bearer(t, "payer")
	sale := b.sale(saleTerms{stock: 5, perShopper: 2})
	location, _ := b.bought(t, sale, mine, "pay", "{}")
	late, _ := b.bought(t, sale, mine, "late", "{}")
	b.settled(t, sale, "confirmed")
	res := b.do(t, b.urls[0], ask{method: "POST", path: late + "/cancel", headers: []string{"Authorization", mine}})
	require.Equal(t, http.StatusOK, res.status, res.text)
	body := func(order string, amount int, currency string) string {
		return fmt.Sprintf(`{"order_id":%q,"amount_minor":%d,"currency":%q}`, strings.TrimPrefix(order, "/v1/orders/"), amount, currency)
	}
	signed := func(name, body, event string, at time.Time, secret string, status int, code string) ask {
		return ask{name, "POST", "/v1/payments", body, []string{
			"Authorization", "", "webhook-id", event, "webhook-timestamp", strconv.FormatInt(at.Unix(), 10),
			"webhook-signature", webhook.Sign([]byte(secret), event, at, []byte(body)),
		}, status, code}
	}
	good, now := body(location, 9900, "CNY"), time.Now()
	tampered := signed("another body", good, "e1", now, paymentSecret, 401, "signature-invalid")
	tampered.body = body(location, 1, "CNY")
	unsigned := ask{"not signed", "POST", "/v1/payments", good, nil, 401, "signature-invalid"}
	before := b.holdings(t, sale)
	b.refused(t, []ask{
		tampered, unsigned, signed("another secret", good, "e1", now, strings.Repeat("x", 32), 401, "signature-invalid"),
		signed("6 minutes old", good, "e1", now.Add(-6*time.Minute), paymentSecret, 401, "signature-invalid"), signed("of tomorrow", good, "e1", now.Add(24*time.Hour), paymentSecret, 401, "signature-invalid"),
		signed("no event", good, "", now, paymentSecret, 401, "signature-invalid"),
		signed("a negative amount", body(location, -9900, "CNY"), "e4", now, paymentSecret, 422, "validation"), signed("no such order", body("A"+strings.Repeat("B", 31), 9900, "CNY"), "e5", now, paymentSecret, 404, "not-found"),
		signed("a field more", `{"order_id":"1","amount_minor":1,"currency":"CNY","user_id":1}`, "e6", now, paymentSecret, 400, "unexpected-field"), signed("no JSON", "paid", "e7", now, paymentSecret, 400, "malformed-json"),
	})
	require.Equal(t, before, b.holdings(t, sale), "nothing is paid")
	for _, a := range []ask{ // recorded: their money is to be returned
		signed("a cent too much", body(location, 9901, "CNY"), "e2", now, paymentSecret, 422, "wrong-amount"), signed("another currency", body(location, 9900, "USD"), "e3", now, paymentSecret, 422, "wrong-amount"),
	} {
		res := b.do(t, b.urls[0], a)
		require.Equal(t, a.status, res.status, res.text)
		require.Contains(t, res.text, `"code":"`+a.code+`"`)
	}
	out, code := command(t, b.env, "", "payments", "list", "--refund-required", "--sale", sale, "--json")
	require.Zero(t, code, out)
	require.Equal(t, 2, strings.Count(out, `"wrong_amount"`), out)
	said := func(a ask) string {
		res := b.do(t, b.urls[0], a)
		require.Equal(t, http.StatusOK, res.status, res.text)
		return res.text
	}
	first := said(signed("", good, "e10", now, paymentSecret, 0, ""))
	require.JSONEq(t, `{"outcome":"paid"}`, first)
	paid := b.holdings(t, sale)
	require.Equal(t, first, said(signed("", good, "e10", now, paymentSecret, 0, "")), "the same body")
	b.refused(t, []ask{signed("the event of another payment", body(late, 9900, "CNY"), "e10", now, paymentSecret, 422, "event-reused")})
	require.Equal(t, paid, b.holdings(t, sale))
	require.JSONEq(t, `{"outcome":"refund_required"}`, said(signed("", good, "e11", now, paymentSecret, 0, "")), "surplus")
	require.JSONEq(t, `{"outcome":"refund_required"}`, said(signed("", body(late, 9900, "CNY"), "e12", now, paymentSecret, 0, "")), "late")
	r := b.audit(sale)
	require.Equal(t, []int64{1, 1}, []int64{r.Sales[0].Paid, r.Sales[0].Cancelled})
}

// lostAnswer checks that a shopper whose answer was lost learns where to find the
// order.
func (b *badShop) lostAnswer(t *testing.T) {
	sale := b.sale(saleTerms{stock: 1})
	c, err := net.Dial("tcp", strings.TrimPrefix(b.urls[0], "http://"))
	require.NoError(t, err)
	_, err = io.WriteString(c, "POST /v1/sales/"+sale+"/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+b.token+"\r\n\r\n")
	require.NoError(t, err)
	b.settled(t, sale, "confirmed")
	require.NoError(t, c.Close())
	before := b.holdings(t, sale)
	var res response
	require.Eventually(t, func() bool { // as soon as this API has heard that nothing is left
		res = b.do(t, b.urls[0], ask{method: "POST", path: "/v1/sales/" + sale + "/orders", body: "{}"})
		return res.status == http.StatusConflict
	}, 5*time.Second, 20*time.Millisecond)
	var p map[string]any
	require.NoError(t, json.Unmarshal([]byte(res.text), &p))
	require.Equal(t, "sold-out", p["code"])
	orders, _ := p["orders_url"].(string)
	res = b.do(t, b.urls[0], ask{method: "GET", path: orders})
	require.Contains(t, res.text, `"status":"confirmed"`)
	require.Equal(t, before, b.holdings(t, sale))
}

// flood sends the same request n times and counts the answers.
func (b *badShop) flood(t *testing.T, n int, url string, a func(i int) ask) map[int]int {
	t.Helper()
	var mu sync.Mutex
	counts := map[int]int{}
	each(n, 20, func(i int) {
		one := a(i)
		res, err := send(b.client, one.method, url+one.path, "", one.headers...)
		if err != nil {
			t.Error(err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		counts[res.status]++
	})
	return counts
}

func (b *badShop) floods(t *testing.T) {
	mine, others := b.bearer(t, privateShopper), b.bearer(t, "quiet")
	share := len(b.apis) + 3 // each API lets through its share of the limits
	perShopper := b.api("SECKILL_SHOPPER_RPS=0.01", "SECKILL_SHOPPER_BURST="+strconv.Itoa(5*share))
	direct := b.api("SECKILL_ADDRESS_RPS=1")
	proxied := b.api("SECKILL_ADDRESS_RPS=1", "SECKILL_TRUSTED_PROXIES=127.0.0.0/8")
	require.Eventually(t, func() bool { return b.apis[len(b.apis)-3].metric(t, `seckill_instances{role="api"}`) == float64(share) }, 5*time.Second, 20*time.Millisecond)
	before := b.holdings(t, b.open, b.gated)
	list := func(headers ...string) func(int) ask {
		return func(i int) ask {
			a := ask{method: "GET", path: "/v1/orders/" + strings.Repeat("A", 32)}
			for _, h := range headers {
				a.headers = append(a.headers, strings.ReplaceAll(h, "#", strconv.Itoa(i)))
			}
			return a
		}
	}
	require.Equal(t, map[int]int{404: 5, 429: 195}, b.flood(t, 200, perShopper, list("Authorization", mine)), "polls of a shopper")
	require.Equal(t, map[int]int{404: 1}, b.flood(t, 1, perShopper, list("Authorization", others)), "another one's are not refused")
	buys := func(int) ask {
		return ask{method: "POST", path: "/v1/sales/" + b.open + "/orders", headers: []string{"Authorization", mine, "Idempotency-Key", "flood"}}
	}
	require.Equal(t, map[int]int{429: 200}, b.flood(t, 200, perShopper, buys), "purchases of a shopper")

	spoofed := b.flood(t, 200, direct, list("Authorization", others, "X-Forwarded-For", "10.0.0.#", "X-Real-IP", "10.0.0.#", "Forwarded", "for=10.0.0.#"))
	require.GreaterOrEqual(t, spoofed[429], 190, "of one address, whatever it claims: %v", spoofed)
	forged := b.flood(t, 50, direct, list("Authorization", "Bearer forged"))
	require.GreaterOrEqual(t, forged[429], 45, "forged tokens count too: %v", forged)
	one := b.flood(t, 100, proxied, list("Authorization", others, "X-Forwarded-For", "10.0.0.#, 203.0.113.9"))
	require.GreaterOrEqual(t, one[429], 90, "of one address behind the proxy, whatever is before it: %v", one)
	require.Equal(t, map[int]int{404: 20}, b.flood(t, 20, proxied, list("Authorization", others, "X-Forwarded-For", "203.0.114.#")), "of many addresses behind the proxy")
	six := b.flood(t, 100, proxied, list("Authorization", others, "X-Forwarded-For", "2001:db8:0:1::#"))
	require.GreaterOrEqual(t, six[429], 90, "of one /64: %v", six)
	require.Equal(t, before, b.holdings(t, b.open, b.gated))
}

// Sales that nobody made are looked for once a second for all. It counts what
// both servers are asked, so it runs alone.
func TestSaleIDsMadeUpReachNoStore(t *testing.T) {
	b := newBadShop(t, sharedServers(t))
	asked := func() (selects, commands int) {
		var name string
		require.NoError(t, b.db.QueryRow(`SHOW GLOBAL STATUS LIKE 'Com_select'`).Scan(&name, &selects))
		info, err := b.rdb.Info(t.Context(), "stats").Result()
		require.NoError(t, err)
		_, after, _ := strings.Cut(info, "total_commands_processed:")
		commands, err = strconv.Atoi(strings.TrimSpace(strings.SplitN(after, "\n", 2)[0]))
		require.NoError(t, err)
		return selects, commands
	}
	before := b.holdings(t, b.open)
	began := time.Now()
	selects, commands := asked()
	const n = 6000
	counts := b.flood(t, n, b.urls[0], func(i int) ask {
		path := fmt.Sprintf("/v1/sales/%d/orders", 100_000+i)
		if i%2 == 0 {
			path += "%0d%0a%1b%5b31m%22%7d"
		}
		return ask{method: "POST", path: path, headers: []string{"User-Agent", `x","level":"ERROR"}{"msg":"forged`, "Authorization", "Bearer " + b.token}}
	})
	// At most some may wait for the look at the same time: the others are told that it is too busy.
	require.Equal(t, n, counts[404]+counts[503], "%v", counts)
	require.Greater(t, counts[404], n*9/10, "%v", counts)
	s, c := asked()
	t.Logf("%d made-up sales in %s: %d SELECTs, %d Redis commands, background included", n, time.Since(began), s-selects, c-commands)
	require.Less(t, s-selects, n/10)
	require.Less(t, c-commands, n/4)
	require.Equal(t, before, b.holdings(t, b.open))
	b.logged(t)
}

func (b *badShop) adminPort(t *testing.T) {
	admin := "http://" + b.apis[0].adminAddr()
	status := func(path, bearer string) int { // not the shoppers' port, so not of their document
		res, err := send(http.DefaultClient, http.MethodGet, admin+path, "", "Authorization", bearer)
		require.NoError(t, err)
		return res.status
	}
	for _, bearer := range []string{"", "Bearer garbage", "Bearer " + b.token, "Bearer " + b.sign(t, jwt.SigningMethodHS256, []byte(operatorSecret), nil)} {
		for _, path := range []string{"/admin/v1/sales", "/admin/v1/orders?sale_id=" + b.open, "/admin/v1/dead-letters"} {
			require.Equal(t, http.StatusUnauthorized, status(path, bearer), "%s with %q", path, bearer)
		}
	}
	require.Equal(t, http.StatusNotFound, status("/v1/sales", "Bearer "+b.token))
	for name, setting := range map[string]string{
		"no token key": "SECKILL_JWT_SECRETS=", "a short token key": "SECKILL_JWT_SECRETS=secret", "no ID key": "SECKILL_ID_KEYS=", "a short ID key": "SECKILL_ID_KEYS=abcdef", "no message key": "SECKILL_MESSAGE_KEYS=", "a short message key": "SECKILL_MESSAGE_KEYS=abcdef",
		"a short payment secret": "SECKILL_PAYMENT_SECRETS=secret", "a challenge without its secret": "SECKILL_CHALLENGE_URL=https://x/",
	} {
		_, code := command(t, append(slices.Clone(b.env), setting), "", "api", "--listen", freeAddr(t), "--admin-listen", freeAddr(t))
		require.Equal(t, 2, code, name)
	}
}

// logged checks that each log line is JSON and that no log has a token, a secret or
// a shopper's ID. order_id and sale_id are allowed.
func (b *badShop) logged(t *testing.T) string {
	t.Helper()
	var text []byte
	for _, p := range slices.Concat(b.apis, b.consumers) {
		one, err := os.ReadFile(p.log)
		require.NoError(t, err)
		text = append(text, one...)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for _, line := range lines {
		require.True(t, json.Valid([]byte(line)), "one line, one object: %q", line)
	}
	require.NotContains(t, string(text), "\x1b")
	dsn := b.setting("SECKILL_MYSQL_DSN")
	password, _, _ := strings.Cut(strings.SplitN(dsn, ":", 2)[1], "@")
	require.Greater(t, len(password), 8)
	for name, secret := range map[string]string{
		"a token": b.token, "its signature": b.token[strings.LastIndexByte(b.token, '.')+1:], "any token": "eyJ", "the key of tokens": b.setting("SECKILL_JWT_SECRETS"),
		"the key of IDs": b.setting("SECKILL_ID_KEYS"), "the key of messages": b.setting("SECKILL_MESSAGE_KEYS"), "the provider's secret": paymentSecret, "the captcha's": "provider-secret", "the operators'": operatorSecret, "MySQL's password": password, "a shopper": privateShopper,
	} {
		require.NotContains(t, string(text), secret, name)
	}
	t.Logf("%d lines", len(lines))
	return string(text)
}

// What the server's defaults are does not reach the protocol; what only its operator
// can set is refused, and doctor says what to do.
func TestDefaultsOfMySQLDoNotReachTheProtocol(t *testing.T) {
	on := ownServers(t)
	admin, err := ordermysql.OpenDB(on.env["SECKILL_MYSQL_DSN"], ordermysql.DBOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = admin.Close() })
	set := func(name, value string) { // until the end: other tests get these servers next
		var before string
		require.NoError(t, admin.QueryRow("SELECT @@GLOBAL."+name).Scan(&before))
		if _, err := strconv.ParseFloat(before, 64); err != nil {
			before = "'" + before + "'"
		}
		t.Cleanup(func() {
			_, err := admin.Exec("SET GLOBAL " + name + " = " + before)
			require.NoError(t, err, name)
		})
		_, err := admin.Exec("SET GLOBAL " + name + " = " + value)
		require.NoError(t, err, name)
	}
	for name, value := range map[string]string{
		"autocommit": "0", "unique_checks": "0", "completion_type": "1", "sql_safe_updates": "1", "sql_select_limit": "1",
		"tx_isolation": "'SERIALIZABLE'", "tx_read_only": "1", "sql_mode": "''", "time_zone": "'+08:00'", "max_statement_time": "0.000001",
	} {
		set(name, value)
	}
	s := newShop(t, maps.Clone(on.env), 2, 2)
	c := s.newSale(saleTerms{stock: 100}, 150)
	c.buy(50)
	c.prove(t, 100)
	require.Len(t, c.final, 100)
	require.GreaterOrEqual(t, c.count(t, `SELECT n FROM counters WHERE name = 'worker' AND ? > 0`), 2, "two APIs, two node IDs")
	set("max_allowed_packet", "65536")
	out, code := command(t, s.env, "", "doctor")
	require.Equal(t, 5, code)
	require.Contains(t, out, "SET GLOBAL max_allowed_packet")
}
