package api_test

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/api"
	"seckill/catalog"
	"seckill/internal/contract"
)

// agreed is the document that every answer of these tests is held against.
var agreed *contract.Contract

// After the whole suite, every answer that the document has was seen.
func TestMain(m *testing.M) {
	var err error
	if agreed, err = contract.New(context.Background(), api.OpenAPI()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if unseen := agreed.Unseen(); code == 0 && wholeSuite() && len(unseen) > 0 {
		fmt.Fprintf(os.Stderr, "openapi.json: no test had these answers:\n%s\n", strings.Join(unseen, "\n"))
		code = 1
	}
	os.Exit(code)
}

// wholeSuite reports whether no test was left out.
func wholeSuite() bool {
	for _, name := range []string{"test.run", "test.skip", "test.bench", "test.fuzz", "test.list"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return false
		}
	}
	return true
}

// everywhere is a request for each operation, of a shop with this order.
func everywhere(s *shop, public string) []*http.Request {
	return []*http.Request{
		request(http.MethodGet, "/v1/time", ""),
		request(http.MethodGet, "/v1/sales", ""),
		request(http.MethodGet, "/v1/sales/7001", ""),
		request(http.MethodPost, buyPath, "{}"),
		request(http.MethodPost, permitPath, "{}"),
		request(http.MethodGet, "/v1/orders?sale_id=7001", ""),
		request(http.MethodGet, "/v1/orders/"+public, ""),
		request(http.MethodPost, "/v1/orders/"+public+"/cancel", "{}"),
		Callback(newSecret, "evt_1", s.backends.now(), paymentOf(public, 19800, "CNY")),
		request(http.MethodGet, "/problems/sold-out", ""),
		request(http.MethodGet, "/openapi.json", ""),
		request(http.MethodGet, "/docs", ""),
		request(http.MethodGet, "/nowhere", ""),
	}
}

func TestALargeBodyIsRefusedEverywhere(t *testing.T) {
	t.Parallel()
	s, _, o := newPayments(t)
	for _, r := range everywhere(s, s.publicID(o)) {
		r.ContentLength = 4097
		problem(t, s.do(t, r), 413, "too-large")
	}
}

// brokenCatalog has a fault of ours.
type brokenCatalog struct{ *catalog.Catalog }

func (brokenCatalog) Get(int64) (*catalog.Snapshot, bool) { panic("a fault of ours") }
func (brokenCatalog) List() []*catalog.Snapshot           { panic("a fault of ours") }
func (brokenCatalog) Now() time.Time                      { panic("a fault of ours") }
func (brokenCatalog) Ready() bool                         { return true }

func TestAFaultOfOursIsSaidToBeOne(t *testing.T) {
	t.Parallel()
	s, _, o := newPayments(t)
	s.opts.Catalog = brokenCatalog{s.catalog}
	s.reopen(t)
	for _, r := range everywhere(s, s.publicID(o))[:9] {
		if r.URL.Path == buyPath || r.URL.Path == permitPath {
			continue // the local copy is asked ahead of everything else there
		}
		problem(t, s.do(t, r), 500, "internal")
	}
	require.Contains(t, s.logs.String(), "a fault of ours")
	gated := permitShop(t, func(s *shop) {
		s.opts.Challenge = checker(func(context.Context, string, string) (bool, error) { panic("a fault of ours") })
	})
	problem(t, gated.permit(t, `{"challenge":"a"}`), 500, "internal")
}

func TestOtherPathsAndMethodsAreSaidToBeNone(t *testing.T) {
	t.Parallel()
	s, _, o := newPayments(t)
	for _, r := range everywhere(s, s.publicID(o))[:12] {
		path := r.URL.Path
		a := s.do(t, request(http.MethodPut, path, "{}"))
		problem(t, a, 405, "method-not-allowed")
		require.NotEmpty(t, a.Header.Get("Allow"), path)
		a = s.do(t, request(http.MethodOptions, path, ""))
		require.Equal(t, 204, a.StatusCode, path)
		require.NotEmpty(t, a.Header.Get("Allow"), path)
		problem(t, s.do(t, request(http.MethodGet, path+"/further", "")), 404, "not-found")
	}
}

func TestTheDocumentIsServedOnceUntilItChanges(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	a := s.get(t, "/openapi.json")
	require.Equal(t, string(api.OpenAPI()), a.text)
	again := s.get(t, "/openapi.json", "If-None-Match", a.Header.Get("ETag"))
	require.Equal(t, 304, again.StatusCode)
	require.Empty(t, again.text)
	require.Equal(t, 200, s.get(t, "/openapi.json", "If-None-Match", `"another"`).StatusCode)
}
