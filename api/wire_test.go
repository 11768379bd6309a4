package api_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/api"
)

// serve runs the server as it is run for real, with the time for reading cut
// down, and returns its address.
func serve(t *testing.T, s *shop, read time.Duration) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv := api.NewHTTPServer(s.h, slog.New(slog.DiscardHandler))
	srv.ReadTimeout, srv.ReadHeaderTimeout = read, read
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		require.NoError(t, srv.Close())
		require.ErrorIs(t, <-done, http.ErrServerClosed)
	})
	return l.Addr().String()
}

func TestTheServerLimitsItsConnectionsAsDocumented(t *testing.T) {
	t.Parallel()
	srv := api.NewHTTPServer(nil, slog.New(slog.DiscardHandler))
	require.Equal(t, []time.Duration{5 * time.Second, 10 * time.Second, 45 * time.Second, 75 * time.Second},
		[]time.Duration{srv.ReadHeaderTimeout, srv.ReadTimeout, srv.WriteTimeout, srv.IdleTimeout})
}

// raw sends text and returns the answer's status and body; 0 when the
// connection was closed without one.
func raw(t *testing.T, addr, text string) (int, string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(c, text)
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, ""
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(body)
}

func TestOnTheWire(t *testing.T) {
	t.Parallel()
	s, _, o := newPayments(t)
	s.backends.sales = append(s.backends.sales, saleAt(7002))
	s.backends.sales[1].RequirePermit = true
	s.backends.metas[7002] = metaOf(s.backends.sales[1])
	s.refresh(t)
	addr := serve(t, s, 300*time.Millisecond)
	bearer := "Authorization: Bearer " + token("42") + "\r\n"
	post := "POST " + buyPath + " HTTP/1.1\r\nHost: x\r\n" + bearer
	json := post + "Content-Type: application/json\r\n"
	cancel := strings.Replace(json, buyPath, "/v1/orders/"+s.publicID(o)+"/cancel", 1)
	pay := fmt.Sprintf("POST /v1/payments HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nwebhook-id: e\r\nwebhook-timestamp: %d\r\nwebhook-signature: v1,x\r\n", time.Now().Unix())
	big := strings.Repeat(" ", 5000)
	tests := []struct {
		name, text string
		status     int
		code       string
	}{
		{"good", json + "Content-Length: 2\r\n\r\n{}", 202, ""},
		{"good chunked", json + "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", 202, ""},
		{"over 4 KiB, declared", json + "Content-Length: 5000\r\n\r\n" + big, 413, "too-large"},
		{"over 4 KiB, declared, never sent", json + "Content-Length: 5000\r\n\r\n", 413, "too-large"},
		{"over 4 KiB, chunked", json + "Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(big), big), 413, "too-large"},
		{"exactly 4 KiB", json + "Content-Length: 4096\r\n\r\n{}" + big[:4094], 202, ""},
		{"slow body", json + "Content-Length: 20\r\n\r\n{", 408, "request-timeout"},
		{"slow chunks", json + "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", 408, "request-timeout"},
		{"slow body of a cancellation", cancel + "Content-Length: 20\r\n\r\n{", 408, "request-timeout"},
		{"slow body of a permit", strings.Replace(json, buyPath, "/v1/sales/7002/permits", 1) + "Content-Length: 20\r\n\r\n{", 408, "request-timeout"},
		{"slow body of a payment", pay + "Content-Length: 20\r\n\r\n{", 408, "request-timeout"},
		{"broken chunks", json + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{\r\n", 400, "malformed-json"},
		{"slow headers", post, 0, ""},
		{"headers over 16 KiB", post + "X-Big: " + strings.Repeat("a", 17<<10) + "\r\n\r\n", 431, ""},
		{"headers under 16 KiB", post + "X-Big: " + strings.Repeat("a", 12<<10) + "\r\n\r\n", 202, ""},
		{"control characters in the key", post + "Idempotency-Key: a\x01b\r\n\r\n", 400, ""},
		{"NUL in the path", "POST /v1/sales/7001\x00/orders HTTP/1.1\r\nHost: x\r\n\r\n", 400, ""},
		{"path traversal", "POST /v1/sales/../sales/7001/orders HTTP/1.1\r\nHost: x\r\n\r\n", 404, "not-found"},
		{"two lengths", json + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400, ""},
		{"a key twice", json + "Idempotency-Key: a\r\nIdempotency-Key: b\r\nContent-Length: 2\r\n\r\n{}", 400, "idempotency-key-invalid"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			status, body := raw(t, addr, tt.text)
			require.Equal(t, tt.status, status, body)
			if tt.code != "" {
				require.Contains(t, body, `"code":"`+tt.code+`"`)
			}
		})
	}
}

func TestAHeldPollOutlivesTheDeadlineForReading(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	addr := serve(t, s, 200*time.Millisecond)
	o := mine(0)
	s.backends.entries = pendingEntry(o)
	began := time.Now()
	status, body := raw(t, addr, "GET /v1/orders/"+s.publicID(o)+"?wait=1s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+token("42")+"\r\n\r\n")
	require.Equal(t, 200, status)
	require.Contains(t, body, `"pending"`)
	require.GreaterOrEqual(t, time.Since(began), 900*time.Millisecond)
}

func TestAPollThatIsGivenUpIsNoEmptyAnswer(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	addr := serve(t, s, minute)
	o := mine(0)
	s.backends.entries = pendingEntry(o)
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(c, "GET /v1/orders/"+s.publicID(o)+"?wait=20s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+token("42")+"\r\n\r\n")
	require.NoError(t, err)
	tcp, ok := c.(*net.TCPConn)
	require.True(t, ok)
	require.NoError(t, tcp.CloseWrite(), "the server takes it for gone, but it still reads")
	got, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Empty(t, string(got))
}

func TestConnectionsAreClosedWhileNotReady(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	require.Empty(t, s.buy(t, "").Header.Get("Connection"))
	s.server.SetReady(false)
	a := s.buy(t, "")
	require.Equal(t, 202, a.StatusCode, "what still comes is served")
	require.Equal(t, "close", a.Header.Get("Connection"))
	s.catalog.MarkSoldOut(openSale)
	require.Equal(t, "close", s.buy(t, "").Header.Get("Connection"))
	s.server.SetReady(true)
	require.Empty(t, s.buy(t, "").Header.Get("Connection"))
}

func TestHeadIsGetWithoutTheBody(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	addr := serve(t, s, minute)
	o := mine(0)
	s.backends.rows[o.ID] = rowOf(o, "paid", "")
	for _, path := range []string{"/v1/time", "/v1/sales", "/v1/sales/7001", "/v1/orders/" + s.publicID(o), "/v1/orders?sale_id=7001", "/problems/sold-out", "/", "/shopper/page.js", "/shopper/page.css", "/docs", "/openapi.json", "/v1/sales/8"} {
		get, head := fetch(t, http.MethodGet, addr, path), fetch(t, http.MethodHead, addr, path)
		require.NotEmpty(t, get.text, path)
		require.Empty(t, head.text, path)
		require.Equal(t, get.StatusCode, head.StatusCode, path)
		for _, name := range []string{"Content-Type", "Content-Length", "Cache-Control"} {
			require.Equal(t, get.Header.Get(name), head.Header.Get(name), path+" "+name)
		}
	}
	problem(t, s.do(t, request(http.MethodHead, buyPath, "")), 405, "method-not-allowed")
}

// fetch asks a server that runs for real.
func fetch(t *testing.T, method, addr, path string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, http.NoBody)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+token("42"))
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err, path)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return answer{Response: res, text: string(body)}
}

func TestARequestInsideAnotherIsNotAnswered(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	addr := serve(t, s, minute)
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(c, "GET /v1/time HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/sales HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	got, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(got), "HTTP/1.1 "), string(got))
}
