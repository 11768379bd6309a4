//go:build e2e

package test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// wired is text for the server's socket and the expected status: 0 is a connection
// closed without an answer.
type wired struct {
	name, text string
	status     int
	code       string // empty where net/http answers by itself
	next       int    // the answer after that one, 0 for none
}

// badWire sends what no HTTP client would.
func (b *badShop) badWire(t *testing.T) {
	addr := strings.TrimPrefix(b.urls[0], "http://")
	before := b.holdings(t, b.open, b.soldOut, b.gated)
	t.Run("all", func(t *testing.T) {
		for _, w := range b.wiredTexts() {
			t.Run(w.name, func(t *testing.T) {
				t.Parallel() // some take the server's time-outs
				c, err := net.Dial("tcp", addr)
				require.NoError(t, err)
				defer c.Close()
				require.NoError(t, c.SetDeadline(time.Now().Add(25*time.Second)))
				go func() { _, _ = io.WriteString(c, w.text) }() // the server may close before it has read all
				r := bufio.NewReader(c)
				status, text := readAnswer(t, r)
				require.Equal(t, w.status, status, text)
				if w.code != "" {
					require.Contains(t, text, `"code":"`+w.code+`"`)
				}
				if w.next == 0 {
					require.NoError(t, c.SetDeadline(time.Now().Add(time.Second)))
				}
				status, text = readAnswer(t, r)
				require.Equal(t, w.next, status, text)
			})
		}
	})
	require.Equal(t, before, b.holdings(t, b.open, b.soldOut, b.gated))
}

// readAnswer returns the next answer; 0 when there is none.
func readAnswer(t *testing.T, r *bufio.Reader) (int, string) {
	t.Helper()
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(text)
}

func (b *badShop) wiredTexts() []wired {
	path := "/v1/sales/" + b.open + "/orders"
	auth := "Host: x\r\nAuthorization: Bearer " + b.token + "\r\n"
	post := "POST " + path + " HTTP/1.1\r\n" + auth
	js := post + "Content-Type: application/json\r\n"
	bad := `{"quantity":0}` // were it read, it would still buy nothing
	big := strings.Repeat(" ", 6000)
	chunked := js + "Transfer-Encoding: chunked\r\n\r\n"
	poll := "GET /v1/orders/x HTTP/1.1\r\n" + auth + "\r\n"
	return []wired{
		{"slow headers", post, 0, "", 0},
		{"half a first line", "POST " + path, 400, "", 0},
		{"slow body", js + "Content-Length: 20\r\n\r\n{", 408, "request-timeout", 0},
		{"slow chunks", chunked + "1\r\n{\r\n", 408, "request-timeout", 0},
		{"body over 4 KiB, declared", js + "Content-Length: 6000\r\n\r\n" + big, 413, "too-large", 0},
		{"body over 4 KiB, declared, never sent", js + "Content-Length: 9999999\r\n\r\n", 413, "too-large", 0},
		{"body over 4 KiB, expecting to be told to continue", js + "Expect: 100-continue\r\nContent-Length: 6000\r\n\r\n", 413, "too-large", 0},
		{"body over 4 KiB, chunked", chunked + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(big), big), 413, "too-large", 0},
		{"chunks of one byte, over 4 KiB", chunked + strings.Repeat("1\r\n \r\n", 6000), 413, "too-large", 0},
		{"broken chunks", chunked + "zz\r\n{\r\n", 400, "malformed-json", 0},
		{"a chunk of 2^64", chunked + "10000000000000000\r\n{", 400, "malformed-json", 0},
		{"a negative chunk", chunked + "-1\r\n{", 400, "malformed-json", 0},
		{"endless chunk extensions", chunked + "1;" + strings.Repeat("x", 20<<10), 400, "malformed-json", 0},
		{"headers over 16 KiB", post + "X-Big: " + strings.Repeat("a", 20<<10) + "\r\n\r\n", 431, "", 0},
		{"a thousand headers", post + strings.Repeat("X-Bomb: aaaaaaaaaaaa\r\n", 1000) + "\r\n", 431, "", 0},
		{"an endless first line", "GET /" + strings.Repeat("a", 20<<10) + " HTTP/1.1\r\n\r\n", 431, "", 0},
		{"two Content-Lengths", js + "Content-Length: 14\r\nContent-Length: 15\r\n\r\n" + bad, 400, "", 0},
		{"a list of Content-Lengths", js + "Content-Length: 14, 15\r\n\r\n" + bad, 400, "", 0},
		{"a negative Content-Length", js + "Content-Length: -1\r\n\r\n" + bad, 400, "", 0},
		{"a signed Content-Length", js + "Content-Length: +14\r\n\r\n" + bad, 400, "", 0},
		{"a Content-Length in hex", js + "Content-Length: 0xe\r\n\r\n" + bad, 400, "", 0},
		{"Content-Length and chunks, with a request inside", js + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + "e\r\n" + bad + "\r\n0\r\n\r\n" + poll, 422, "validation", 0},
		{"an unknown Transfer-Encoding", js + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501, "", 0},
		{"two Transfer-Encodings", js + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 501, "", 0},
		{"a list of Transfer-Encodings", js + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, "", 0},
		{"pipelined", poll + js + "Content-Length: 14\r\n\r\n" + bad, 404, "not-found", 422},
		{"pipelined behind a body that is too large", js + "Content-Length: 6000\r\n\r\n" + big + poll, 413, "too-large", 0},
		{"a bare CR in a header", post + "User-Agent: a\rX-Injected: 1\r\n\r\n", 400, "", 0},
		{"an escape in User-Agent", post + "User-Agent: \x1b[31mred\r\n\r\n", 400, "", 0},
		{"a NUL in a header", post + "X: \x00\r\n\r\n", 400, "", 0},
		{"an escape in X-Request-Id", post + "X-Request-Id: \x1b[2J\r\n\r\n", 400, "", 0},
		{"a control character in the key", post + "Idempotency-Key: a\x01b\r\n\r\n", 400, "", 0},
		{"a folded header is one line", "GET /v1/orders/x HTTP/1.1\r\n" + auth + "X: a\r\n b: c\r\n\r\n", 404, "not-found", 0},
		{"a space before the colon", post + "Content-Length : 0\r\n\r\n", 400, "", 0},
		{"a header without a name", post + ": x\r\n\r\n", 400, "", 0},
		{"no Host", "GET /v1/time HTTP/1.1\r\n\r\n", 400, "", 0},
		{"two Hosts", "GET /v1/time HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "", 0},
		{"a Host with a space", "GET /v1/time HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "", 0},
		{"HTTP/3.0", "GET /v1/time HTTP/3.0\r\nHost: x\r\n\r\n", 505, "", 0},
		{"HTTP/2 without asking", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 404, "not-found", 0},
		{"no HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "", 0},
		{"Redis", "*1\r\n$4\r\nPING\r\n", 400, "", 0},
	}
}
