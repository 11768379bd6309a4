package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"seckill/admin"
	"seckill/admin/http"
	"seckill/internal/config"
	"seckill/order/memory"
)

const (
	shopperSecret  = "0123456789abcdef0123456789abcdef"
	operatorSecret = "fedcba9876543210fedcba9876543210"
)

// minted is what `token` prints.
func minted(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := command(t, []string{"SECKILL_JWT_SECRETS=" + shopperSecret, "SECKILL_ADMIN_JWT_SECRETS=" + operatorSecret}, append([]string{"token"}, args...)...)
	require.Equal(t, exitOK, code, stderr)
	return strings.TrimSpace(stdout)
}

// admins is the admin listener of a role with those settings.
func admins(t *testing.T, settings ...string) (http.Handler, error) {
	t.Helper()
	cfg, err := config.Load(settings, "")
	require.NoError(t, err)
	cfg.Redis.Addrs = []string{miniredis.RunT(t).Addr()}
	rdb, err := openRedis(cfg.Redis)
	require.NoError(t, err)
	t.Cleanup(func() { _ = rdb.Close() })
	store := memory.NewStore()
	b := &backend{redis: rdb, orders: store, desk: store, queue: newDevQueue()}
	operators, err := newAdminAPI(cfg, b, slog.New(slog.DiscardHandler))
	fine := health{func() error { return nil }, func() []string { return nil }}
	return adminHandler("0.0.0.0:8081", prometheus.NewRegistry(), fine, operators), err
}

func statusOf(t *testing.T, h http.Handler, path, token string) int {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec.Code
}

func TestOperatorsHaveKeysAndAnAudienceOfTheirOwn(t *testing.T) {
	t.Parallel()
	h, err := admins(t, "SECKILL_JWT_SECRETS="+shopperSecret, "SECKILL_ADMIN_JWT_SECRETS="+operatorSecret)
	require.NoError(t, err)
	const sales = "/admin/v1/sales"
	require.Equal(t, 200, statusOf(t, h, sales, minted(t, "--operator", "alice", "--role", "operator")))
	require.Equal(t, 200, statusOf(t, h, sales, minted(t, "--operator", "victor")))
	require.Equal(t, 401, statusOf(t, h, sales, minted(t, "--shopper", "42")))
	require.Equal(t, 401, statusOf(t, h, sales, ""))
	require.Equal(t, 401, statusOf(t, h, "/admin/v1/", ""))
	for _, open := range []string{"/livez", "/readyz", "/metrics"} {
		require.Equal(t, 200, statusOf(t, h, open, ""), open)
	}
	require.Equal(t, 404, statusOf(t, h, "/debug/pprof/", ""), "not beyond this machine")

	h, err = admins(t, "SECKILL_JWT_SECRETS="+shopperSecret)
	require.NoError(t, err)
	require.Equal(t, 404, statusOf(t, h, sales, minted(t, "--operator", "alice", "--role", "operator")), "off")

	for _, bad := range [][]string{
		{"SECKILL_JWT_SECRETS=" + shopperSecret, "SECKILL_ADMIN_JWT_SECRETS=x=" + shopperSecret},
		{"SECKILL_ADMIN_JWT_SECRETS=" + operatorSecret, "SECKILL_ADMIN_JWT_AUDIENCE=shoppers"},
		{"SECKILL_ADMIN_JWT_PUBLIC_KEYS=k=/nowhere"},
	} {
		_, err = admins(t, bad...)
		var usage *usageError
		require.ErrorAs(t, err, &usage, bad)
	}
	_, err = config.Load([]string{"SECKILL_ADMIN_JWT_SECRETS=short"}, "")
	require.ErrorContains(t, err, "SECKILL_ADMIN_JWT_SECRETS")
	code, _, stderr := command(t, []string{"SECKILL_ADMIN_JWT_SECRETS=" + operatorSecret}, "token", "--operator", "alice", "--role", "root")
	require.Equal(t, exitUsage, code)
	require.Contains(t, stderr, "--role")
}

func TestDevServesOperators(t *testing.T) {
	d, stop := dev(t)
	defer stop()
	ask := func(method, path string) (sale admin.SaleView) {
		req, err := http.NewRequestWithContext(t.Context(), method, d.AdminURL+adminhttp.Prefix+path, http.NoBody)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+d.AdminToken)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode, string(text))
		require.NoError(t, json.Unmarshal(text, &sale))
		return sale
	}
	require.Equal(t, "paused", ask(http.MethodPost, "sales/"+d.SaleID+"/pause").State)
	require.Eventually(t, func() bool {
		resp, err := http.Get(d.URL + "/v1/sales/" + d.SaleID)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		return err == nil && strings.Contains(string(text), `"state":"paused"`)
	}, time.Second, time.Millisecond, "shoppers see it")
	require.Equal(t, "paused", ask(http.MethodGet, "sales/"+d.SaleID).Redis.State)
	http.DefaultClient.CloseIdleConnections()
}
