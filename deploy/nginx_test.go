package deploy_test

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/api"
)

// directive is one of nginx's, with the block it opens.
type directive struct {
	words []string
	block []directive
}

// nginxConf is deploy/nginx/nginx.conf.
type nginxConf []directive

func nginxFile(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("nginx/nginx.conf")
	require.NoError(t, err)
	return string(text)
}

// token is a comment, a quoted text, a brace or semicolon, or a word.
var token = regexp.MustCompile(`#[^\n]*|'[^']*'|"[^"]*"|[{};]|\$\{\w+\}|[^\s{};'"]+(?:\{[\d,]+\}[^\s{};]*)?`)

func parseNginx(text string) (nginxConf, error) {
	tokens := slices.DeleteFunc(token.FindAllString(text, -1), func(s string) bool { return s[0] == '#' })
	conf, rest, err := parseBlock(tokens)
	if err == nil && len(rest) > 0 {
		err = errors.New("a brace too many")
	}
	return conf, err
}

func parseBlock(tokens []string) (ds []directive, rest []string, err error) {
	var d directive
	for len(tokens) > 0 {
		t := tokens[0]
		tokens = tokens[1:]
		switch t {
		case "}":
			if len(d.words) > 0 {
				return nil, nil, fmt.Errorf("%v: a semicolon is missing", d.words)
			}
			return ds, append([]string{"}"}, tokens...), nil
		case ";":
			ds, d = append(ds, d), directive{}
		case "{":
			if d.block, tokens, err = parseBlock(tokens); err != nil {
				return nil, nil, err
			}
			if len(tokens) == 0 {
				return nil, nil, fmt.Errorf("%v: never ends", d.words)
			}
			tokens = tokens[1:]
			ds, d = append(ds, d), directive{}
		default:
			d.words = append(d.words, strings.Trim(t, `'"`))
		}
	}
	if len(d.words) > 0 {
		return nil, nil, fmt.Errorf("%v: a semicolon is missing", d.words)
	}
	return ds, nil, nil
}

// all returns the values of every directive of this name, wherever it is.
func (c nginxConf) all(name string) (values []string) {
	for _, d := range c {
		if d.words[0] == name {
			values = append(values, strings.Join(d.words[1:], " "))
		}
		values = append(values, nginxConf(d.block).all(name)...)
	}
	return values
}

// one returns the value of a directive that is there once.
func (c nginxConf) one(name string) string {
	if vs := c.all(name); len(vs) == 1 {
		return vs[0]
	}
	return ""
}

// block returns what is in the first block of this name.
func (c nginxConf) block(name string) nginxConf {
	for _, d := range c {
		if strings.Join(d.words, " ") == name {
			return d.block
		}
		if b := nginxConf(d.block).block(name); b != nil {
			return b
		}
	}
	return nil
}

func (c nginxConf) duration(name string) time.Duration {
	d, err := time.ParseDuration(c.one(name))
	if err != nil {
		return 0
	}
	return d
}

var sizeRE = regexp.MustCompile(`^(?:(\d+) )?(\d+)k$`)

// sizeOf reads a size, or a number of buffers and their size.
func sizeOf(value string) int {
	m := sizeRE.FindStringSubmatch(value)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(cmp.Or(m[1], "1"))
	k, _ := strconv.Atoi(m[2])
	return n * k << 10
}

const addedByNginx = 1 << 10 // X-Forwarded-For, Host and the like

// problems returns what does not match the shoppers' port of the program.
func (c nginxConf) problems() (found []string) {
	srv := api.NewHTTPServer(nil, slog.New(slog.DiscardHandler))
	headers := sizeOf(c.one("client_header_buffer_size")) + sizeOf(c.one("large_client_header_buffers"))
	away := c.block("location ~* ^/+(admin|metrics|debug|livez|readyz)(/|$)")
	upstream := c.block("upstream apis")
	for what, ok := range map[string]bool{
		"a poll is cut off before the API answers":             c.duration("proxy_read_timeout") > srv.WriteTimeout,
		"slower headers than the API takes":                    in(c.duration("client_header_timeout"), srv.ReadHeaderTimeout),
		"slower bodies than the API takes":                     in(c.duration("client_body_timeout"), srv.ReadTimeout),
		"the API closes idle connections first":                in(upstream.duration("keepalive_timeout"), srv.IdleTimeout-10*time.Second),
		"connections to the API are not kept":                  upstream.one("keepalive") != "" && c.one("proxy_http_version") == "1.1" && slices.Contains(c.all("proxy_set_header"), "Connection "),
		"headers that the API refuses get through":             headers > 0 && headers+addedByNginx <= srv.MaxHeaderBytes+4<<10,
		"bodies that the API refuses get through, or less":     sizeOf(c.one("client_max_body_size")) == 4<<10,
		"X-Forwarded-For is believed":                          slices.Contains(c.all("proxy_set_header"), "X-Forwarded-For $remote_addr"),
		"some routes have no limit of an address":              slices.Equal(c.all("limit_req"), []string{"zone=callers burst=5000 nodelay"}) && c.one("limit_req_status") == "429",
		"what is the operators' is reachable":                  away != nil && away.one("return") == "404",
		"a sale is not cached for a second":                    c.block("location ~ ^/v1/sales(/[0-9]+)?$").one("proxy_cache_valid") == "200 1s",
		"only sales are cached":                                len(c.all("proxy_cache")) == 1,
		"a purchase may be sent twice, or a look is not":       c.one("proxy_next_upstream") == "error timeout http_503" && c.one("proxy_next_upstream_tries") == "2",
		"an overloaded API is taken for one that is not there": !slices.ContainsFunc(upstream.all("server"), func(s string) bool { return !strings.HasSuffix(s, " max_fails=0") }),
	} {
		if !ok {
			found = append(found, "nginx: "+what)
		}
	}
	slices.Sort(found)
	return found
}

func in(d, most time.Duration) bool { return d > 0 && d <= most }

// servers returns the addresses of the APIs.
func (c nginxConf) servers() (addrs []string) {
	for _, s := range c.block("upstream apis").all("server") {
		addrs = append(addrs, strings.Fields(s)[0])
	}
	return addrs
}

// checkProxy: nginx has exactly the services that serve shoppers, they trust only it, and
// the published port is the one it listens on.
func (s system) checkProxy() (found []string) {
	text, err := os.ReadFile("nginx/nginx.conf")
	if err != nil {
		return []string{err.Error()}
	}
	conf, err := parseNginx(string(text))
	if err != nil {
		return []string{"nginx: " + err.Error()}
	}
	proxy, servers := s.Services["nginx"], conf.servers()
	for name, svc := range s.Services {
		if !ours(svc) || len(svc.Command) == 0 || svc.Command[0] != "api" {
			continue
		}
		cfg, err := s.settingsOf(svc)
		if err != nil {
			continue // reported elsewhere
		}
		_, port, _ := net.SplitHostPort(cfg.Listen)
		if addr := name + ":" + port; !slices.Contains(servers, addr) {
			found = append(found, addr+" is not behind nginx")
		}
		if !s.shareNetwork(proxy, svc) || !s.waitsFor(proxy, name) && slices.Contains(servers, name+":"+port) {
			found = append(found, "nginx: does not reach "+name)
		}
		if addr := proxy.Networks["shop"].Ipv4Address; addr == "" || !slices.Equal(cfg.API.TrustedProxies, []string{addr + "/32"}) {
			found = append(found, fmt.Sprintf("%s: does not trust nginx at %q, and only it", name, addr))
		}
	}
	for _, addr := range servers {
		if host, _, _ := net.SplitHostPort(addr); s.Services[host].Name == "" {
			found = append(found, "nginx: "+addr+" is no service")
		}
	}
	listens := conf.all("listen")
	for _, p := range proxy.Ports {
		if port := strconv.Itoa(int(p.Target)); !slices.ContainsFunc(listens, func(l string) bool { return strings.Fields(l)[0] == port }) {
			found = append(found, fmt.Sprintf("nginx: published %s, nginx listens on %v", port, listens))
		}
	}
	if g := proxy.StopGracePeriod; g == nil || time.Duration(*g) < conf.duration("proxy_read_timeout") {
		found = append(found, "nginx: is killed while polls are held")
	}
	return found
}

func TestNginxFitsTheProgram(t *testing.T) {
	t.Parallel()
	conf, err := parseNginx(nginxFile(t))
	require.NoError(t, err)
	require.Empty(t, conf.problems())
	require.Len(t, conf.servers(), 2)
}

func TestABrokenNginxFileIsNoticed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ from, to, found string }{
		"a short poll":          {"proxy_read_timeout 50s", "proxy_read_timeout 30s", "a poll is cut off"},
		"a default":             {"    proxy_read_timeout 50s;", "", "a poll is cut off"},
		"patient with headers":  {"client_header_timeout 5s", "client_header_timeout 60s", "slower headers"},
		"patient with bodies":   {"client_body_timeout 10s", "client_body_timeout 60s", "slower bodies"},
		"idle for longer":       {"keepalive_timeout 60s; # the API", "keepalive_timeout 90s; # the API", "closes idle connections first"},
		"a new connection each": {`proxy_set_header Connection "";`, "", "connections to the API"},
		"large headers":         {"large_client_header_buffers 1 8k", "large_client_header_buffers 4 8k", "headers that the API refuses"},
		"large bodies":          {"client_max_body_size 4k", "client_max_body_size 1m", "bodies that the API refuses"},
		"addresses appended":    {"X-Forwarded-For $remote_addr", "X-Forwarded-For $proxy_add_x_forwarded_for", "is believed"},
		"a route with no limit": {"        location / {\n", "        location / {\n            limit_req zone=other;\n", "no limit of an address"},
		"metrics for everybody": {"(admin|metrics|", "(admin|", "operators' is reachable"},
		"a sale of yesterday":   {"proxy_cache_valid 200 1s", "proxy_cache_valid 200 1h", "cached for a second"},
		"orders cached":         {"        location / {\n", "        location / {\n            proxy_cache sales;\n", "only sales are cached"},
		"purchases sent twice":  {"timeout http_503;", "timeout http_503 non_idempotent;", "sent twice"},
		"an API taken out":      {"api-2:8080 max_fails=0", "api-2:8080", "not there"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := nginxFile(t)
			require.Contains(t, text, c.from)
			conf, err := parseNginx(strings.Replace(text, c.from, c.to, 1))
			require.NoError(t, err)
			require.Contains(t, strings.Join(conf.problems(), "\n"), c.found)
		})
	}
	_, err := parseNginx("a { b c; d }")
	require.ErrorContains(t, err, "semicolon")
	_, err = parseNginx("a { b;")
	require.ErrorContains(t, err, "never ends")
}
