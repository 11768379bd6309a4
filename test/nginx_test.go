//go:build e2e

package test

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	proxyIP = "127.0.0.9" // that nginx has for the APIs: the only one they trust
	nobody  = 65534       // who runs nginx where the tests are root: it must not need to be
)

// startNginx runs Debian's nginx on deploy/nginx/nginx.conf, of which only
// addresses and folders are others, and what changes replace (old, new, …), and
// returns where it listens.
func startNginx(t *testing.T, apis [2]string, changes ...string) (url string) {
	t.Helper()
	script(t, nil, "nginx", "-v")
	dir, err := os.MkdirTemp("", "seckill-nginx") //nolint:usetesting // nobody else may read those
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	addr := freeAddr(t)
	conf := filepath.Join(dir, "nginx.conf")
	require.NoError(t, os.WriteFile(conf, []byte(nginxConf(t, dir, addr, apis, changes)), 0o644))
	cmd := exec.Command(nginxBinary(t, dir), "-e", "stderr", "-c", conf, "-g", "daemon off; master_process off;")
	if os.Geteuid() == 0 {
		require.NoError(t, os.Chown(dir, nobody, nobody))
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	background(t, cmd, "http://"+addr+"/v1/time")
	return "http://" + addr
}

func nginxConf(t *testing.T, dir, addr string, apis [2]string, changes []string) string {
	t.Helper()
	text, err := os.ReadFile("../deploy/nginx/nginx.conf")
	require.NoError(t, err)
	conf := string(text)
	pairs := [][2]string{
		{"server api-1:8080 ", "server " + apis[0] + " "},
		{"server api-2:8080 ", "server " + apis[1] + " "},
		{"listen 8080 ", "listen " + addr + " "},
		{" /tmp/", " " + dir + "/"},
		{"/dev/stdout", dir + "/access.log"},
		{"/dev/stderr", "stderr"},
		{"worker_connections 30000;", "worker_connections 2000;"},
		{"proxy_http_version 1.1;", "proxy_http_version 1.1; proxy_bind " + proxyIP + ";"},
	}
	for c := range slices.Chunk(changes, 2) {
		pairs = append(pairs, [2]string(c))
	}
	for _, c := range pairs {
		require.Contains(t, conf, c[0])
		conf = strings.ReplaceAll(conf, c[0], c[1])
	}
	return conf
}

// nginxBinary returns one that nobody may run too.
func nginxBinary(t *testing.T, dir string) string {
	t.Helper()
	if path, err := exec.LookPath("nginx"); err == nil {
		return path
	}
	text, err := os.ReadFile("../.run/nginx/usr/sbin/nginx")
	require.NoError(t, err)
	path := filepath.Join(dir, "nginx")
	require.NoError(t, os.WriteFile(path, text, 0o755))
	return path
}

// from returns a client with that address.
func from(ip string) *http.Client {
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return d.DialContext(ctx, network, addr)
		},
	}}
}

// fetch returns the status and text of an answer.
func fetch(t *testing.T, client *http.Client, method, url, body string, headers ...string) (int, string) {
	t.Helper()
	res, err := send(client, method, url, body, headers...)
	require.NoError(t, err)
	return res.status, res.text
}

func TestBehindNginxAddressesCannotBeMadeUp(t *testing.T) {
	env := beside(t)
	env["SECKILL_TRUSTED_PROXIES"], env["SECKILL_ADDRESS_RPS"] = proxyIP+"/32", "2" // a burst of 10
	s := newShop(t, env, 1, 0)
	api := strings.TrimPrefix(s.urls[0], "http://")
	url := startNginx(t, [2]string{api, api}) + "/v1/orders?sale_id=" + s.sale(saleTerms{stock: 1})
	auth := "Bearer " + s.tokens(1, 1)[0]
	// ask sends so many requests from an address, each of which claims to be from
	// another one, and returns how many were limited.
	ask := func(ip, claims string, times int) (limited int) {
		client := from(ip)
		defer client.CloseIdleConnections()
		for i := range times {
			claim := strings.ReplaceAll(claims, "N", strconv.Itoa(100+i))
			status, text := fetch(t, client, http.MethodGet, url, "", "Authorization", auth, "X-Forwarded-For", claim, "X-Real-Ip", claim, "Forwarded", "for="+claim)
			if status != http.StatusOK {
				require.Equal(t, http.StatusTooManyRequests, status, text)
				require.Contains(t, text, `"rate-limited"`)
				limited++
			}
		}
		return limited
	}
	require.Zero(t, ask("127.0.0.20", "192.0.2.N", 5))
	require.Greater(t, ask("127.0.0.20", "192.0.2.N", 60), 30, "another claimed address does not give another bucket")
	require.Greater(t, ask("127.0.0.20", "198.51.100.N, "+proxyIP, 60), 30, "nor does a claim that names the proxy")
	require.Greater(t, ask("127.0.0.20", "127.0.0.22", 60), 30)
	require.Zero(t, ask("127.0.0.22", "127.0.0.20", 5), "an address that others claimed has a bucket of its own")
	require.Zero(t, ask("127.0.0.23", proxyIP, 5))
}

// One address gets what it may, in whatever form nginx learns of it; the private
// one of the balancer before it does not count.
func TestNginxLimitsWhatOneAddressAsks(t *testing.T) {
	s := newShop(t, beside(t), 1, 0)
	api := strings.TrimPrefix(s.urls[0], "http://")
	url := startNginx(t, [2]string{api, api},
		"#   set_real_ip_from 192.0.2.0/24;", "set_real_ip_from 127.0.0.0/8;", "#   real_ip_header", "real_ip_header",
		"rate=1000r/s", "rate=1r/m", "burst=5000", "burst=4")
	ask := func(client, path string, times int) (limited int) {
		for range times {
			status, text := fetch(t, http.DefaultClient, http.MethodGet, url+path, "", "X-Forwarded-For", client)
			if status == http.StatusTooManyRequests {
				require.Contains(t, text, `"code":"rate-limited"`)
				limited++
			}
		}
		return limited
	}
	require.Equal(t, 5, ask("203.0.113.1", "/v1/time", 10))
	require.Equal(t, 5, ask("203.0.113.1", "/v1/sales", 5), "every route")
	require.Zero(t, ask("203.0.113.2:4711", "/v1/sales", 5), "another address, with a port")
	require.Equal(t, 5, ask("2001:db8:0:1::1", "/docs", 10))
	require.Equal(t, 5, ask("2001:db8:0:1:ffff::2", "/docs", 5), "the same /64")
	require.Zero(t, ask("2001:db8:0:2::1", "/docs", 5))
	require.Zero(t, ask("192.168.0.1", "/v1/time", 20), "private")
	status, _ := fetch(t, http.DefaultClient, http.MethodPost, url+"/v1/payments", "{}", "X-Forwarded-For", "203.0.113.1")
	require.Equal(t, http.StatusTooManyRequests, status, "callbacks too")
}

func TestAShopBehindNginx(t *testing.T) {
	env := beside(t)
	env["SECKILL_TRUSTED_PROXIES"] = proxyIP + "/32"
	s := newShop(t, env, 2, 0)
	url := startNginx(t, [2]string{strings.TrimPrefix(s.urls[0], "http://"), strings.TrimPrefix(s.urls[1], "http://")})
	s.urls = []string{url}

	t.Run("before a consumer runs", func(t *testing.T) {
		t.Run("a poll is held for half a minute", func(t *testing.T) { t.Parallel(); s.heldInVain(t) })
		t.Run("the operators' paths are not served", func(t *testing.T) { t.Parallel(); operatorsOnly(t, url) })
		t.Run("sizes", func(t *testing.T) { t.Parallel(); s.sizesBehindNginx(t, url) })
		t.Run("a sale is asked for once a second", func(t *testing.T) { t.Parallel(); s.cachedBehindNginx(t, url) })
	})
	t.Run("held polls outlive the API that held them", func(t *testing.T) { s.heldPollsMove(t) })
	t.Run("a sale in which an API is killed", func(t *testing.T) { s.killedBehindNginx(t) })
}

// behindNginx is a crowd that waits for as long as polls are held. What it is
// answered, by nginx too, is as the document says, but for nginx's name.
func (s *shop) behindNginx(sale string, tokens []string) *crowd {
	c := s.crowd(sale, tokens)
	c.client.Timeout = 50 * time.Second
	c.client.Transport = agreed.transport(unnamed{&http.Transport{MaxIdleConnsPerHost: 512}})
	return c
}

type unnamed struct{ next http.RoundTripper }

func (u unnamed) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := u.next.RoundTrip(r)
	if err == nil {
		resp.Header.Del("Server")
	}
	return resp, err
}

func operatorsOnly(t *testing.T, url string) {
	for _, path := range []string{"/metrics", "//metrics", "/METRICS", "/%6detrics", "/x/../metrics", "/admin", "/admin/v1/sales", "/debug/pprof/", "/livez", "/readyz"} {
		status, text := fetch(t, http.DefaultClient, http.MethodGet, url+path, "")
		require.Equal(t, http.StatusNotFound, status, path)
		require.Contains(t, text, `"code":"not-found"`, path)
	}
	for _, path := range []string{"/v1/time", "/v1/sales", "/docs", "/openapi.json", "/problems/sold-out", "/"} {
		status, _ := fetch(t, http.DefaultClient, http.MethodGet, url+path, "")
		require.Equal(t, http.StatusOK, status, path)
	}
}

func (s *shop) sizesBehindNginx(t *testing.T, url string) {
	orders := url + "/v1/sales/" + s.sale(saleTerms{stock: 5}) + "/orders"
	auth := "Bearer " + s.tokens(9_001, 1)[0]
	buy := func(size int, headers ...string) (int, string) {
		body := `{"quantity":1}` + strings.Repeat(" ", size)
		return fetch(t, http.DefaultClient, http.MethodPost, orders, body[:size], append(headers, "Authorization", auth, "Content-Type", "application/json")...)
	}
	status, text := buy(4097)
	require.Equal(t, http.StatusRequestEntityTooLarge, status, text)
	require.Contains(t, text, `"code":"too-large"`)
	status, text = buy(100, "X-Padding", strings.Repeat("x", 14<<10))
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, status, text)
	status, text = buy(4096, "X-Padding", strings.Repeat("x", 7<<10))
	require.Equal(t, http.StatusAccepted, status, text)
}

// heldInVain polls for a result that cannot come: no consumer runs.
func (s *shop) heldInVain(t *testing.T) {
	c := s.behindNginx(s.sale(saleTerms{stock: 1}), s.tokens(9_100, 1))
	c.buy(1)
	require.Len(t, c.accepted, 1)
	start := time.Now()
	a, err := c.ask(0, http.MethodGet, "/v1/orders/"+c.acceptedIDs()[0]+"?wait=30s", "")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, a.status)
	require.Equal(t, "pending", a.orderStatus())
	require.Greater(t, time.Since(start), 29*time.Second)
}
