package app

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	adminhttp "seckill/admin/http"
	"seckill/internal/auth"
	"seckill/internal/config"
	"seckill/order"
	"seckill/order/memory"
)

const (
	shopperSecret  = "0123456789abcdef0123456789abcdef"
	operatorSecret = "fedcba9876543210fedcba9876543210"
)

// minted returns a token of a shopper, or of an operator with a role.
func minted(t *testing.T, subject, role string) string {
	t.Helper()
	cfg, err := config.Load([]string{"SECKILL_JWT_SECRETS=" + shopperSecret, "SECKILL_ADMIN_JWT_SECRETS=" + operatorSecret}, "")
	require.NoError(t, err)
	terms := ShopperTokens(cfg)
	if role != "" {
		terms = OperatorTokens(cfg, role)
	}
	mint, err := NewMinter(terms, time.Now().Add(time.Hour))
	require.NoError(t, err)
	token, err := mint(subject)
	require.NoError(t, err)
	return token
}

// admins returns the admin handler of a role with these settings.
func admins(t *testing.T, settings ...string) (http.Handler, error) {
	t.Helper()
	cfg, err := config.Load(settings, "")
	require.NoError(t, err)
	cfg.Redis.Addrs = []string{miniredis.RunT(t).Addr()}
	rdb, err := openRedis(cfg.Redis)
	require.NoError(t, err)
	t.Cleanup(func() { _ = rdb.Close() })
	store := memory.NewStore()
	b := &backend{redis: rdb, store: store, operators: store, queue: newMemoryQueue()}
	operators, err := newAdminAPI(cfg, b, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	return adminHandler("0.0.0.0:8081", prometheus.NewRegistry(), &ConsumerRole{rehearsed: newRehearsals(prometheus.NewRegistry(), slog.New(slog.DiscardHandler), consumerParts)}, operators), err
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
	require.Equal(t, 200, statusOf(t, h, sales, minted(t, "alice", adminhttp.Operate)))
	require.Equal(t, 200, statusOf(t, h, sales, minted(t, "victor", adminhttp.Viewer)))
	require.Equal(t, 401, statusOf(t, h, sales, minted(t, "42", "")))
	require.Equal(t, 401, statusOf(t, h, sales, ""))
	require.Equal(t, 401, statusOf(t, h, "/admin/v1/", ""))
	for _, open := range []string{"/livez", "/readyz", "/metrics"} {
		require.Equal(t, 200, statusOf(t, h, open, ""), open)
	}
	require.Equal(t, 404, statusOf(t, h, "/debug/pprof/", ""), "only on this machine")

	h, err = admins(t, "SECKILL_JWT_SECRETS="+shopperSecret)
	require.NoError(t, err)
	require.Equal(t, 404, statusOf(t, h, sales, minted(t, "alice", adminhttp.Operate)), "off")

	for _, bad := range [][]string{
		{"SECKILL_ADMIN_JWT_SECRETS=" + operatorSecret, "SECKILL_ADMIN_JWT_AUDIENCE=shoppers"},
		{"SECKILL_ADMIN_JWT_PUBLIC_KEYS=k=/nowhere"},
	} {
		_, err = admins(t, bad...)
		var setting *SettingError
		require.ErrorAs(t, err, &setting, bad)
	}
	_, err = config.Load([]string{"SECKILL_ADMIN_JWT_SECRETS=short"}, "")
	require.ErrorContains(t, err, "SECKILL_ADMIN_JWT_SECRETS")
}

func TestAnOperatorsTokenIsShortLivedAndCanBeDenied(t *testing.T) {
	t.Parallel()
	now := time.Now()
	sign := func(c jwt.MapClaims) string {
		c["sub"], c["iss"], c["aud"], c["role"] = "alice", "seckill", "operators", adminhttp.Operate
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString([]byte(operatorSecret))
		require.NoError(t, err)
		return token
	}
	cfg, err := config.Load([]string{"SECKILL_ADMIN_JWT_SECRETS=" + operatorSecret, "SECKILL_ADMIN_DENIED_TOKENS=stolen,lost", "SECKILL_ADMIN_TOKEN_LIFETIME=1h"}, "")
	require.NoError(t, err)
	v, err := newOperatorVerifier(cfg)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		claims jwt.MapClaims
		good   bool
	}{
		"an hour":                  {jwt.MapClaims{"iat": now.Unix(), "exp": now.Unix() + 3600}, true},
		"longer":                   {jwt.MapClaims{"iat": now.Unix(), "exp": now.Unix() + 3700}, false},
		"longer, and nearly over":  {jwt.MapClaims{"iat": now.Unix() - 1e6, "exp": now.Unix() + 60}, false},
		"without iat":              {jwt.MapClaims{"exp": now.Unix() + 3000}, true},
		"without iat, for years":   {jwt.MapClaims{"exp": now.Unix() + 1e8}, false},
		"a clock ahead":            {jwt.MapClaims{"iat": now.Unix() + 30, "exp": now.Unix() + 3630}, true},
		"dated ahead":              {jwt.MapClaims{"iat": now.Unix() + 1e8, "exp": now.Unix() + 1e8 + 60}, false},
		"IAT is no iat":            {jwt.MapClaims{"IAT": now.Unix() - 3000, "exp": now.Unix() + 3000}, true},
		"another jti":              {jwt.MapClaims{"iat": now.Unix(), "exp": now.Unix() + 60, "jti": "mine"}, true},
		"a denied jti":             {jwt.MapClaims{"iat": now.Unix(), "exp": now.Unix() + 60, "jti": "stolen"}, false},
		"a jti that is no text":    {jwt.MapClaims{"iat": now.Unix(), "exp": now.Unix() + 60, "jti": 7}, false},
		"a role in a list of some": {jwt.MapClaims{"exp": now.Unix() + 60, "groups": []string{"x"}}, true},
	} {
		for range 2 { // the second time the token is known
			o, err := v.Operator(sign(c.claims))
			if c.good {
				require.NoError(t, err, name)
				require.Equal(t, order.Operator{Name: "alice", Role: adminhttp.Operate}, o, name)
			} else {
				require.ErrorIs(t, err, auth.ErrToken, name)
			}
		}
	}
}

func TestProfilesAreServedUnderALoopbackNameOnly(t *testing.T) {
	t.Parallel()
	h := adminHandler("127.0.0.1:8081", prometheus.NewRegistry(), &ConsumerRole{rehearsed: newRehearsals(prometheus.NewRegistry(), slog.New(slog.DiscardHandler), consumerParts)}, nil)
	for host, want := range map[string]int{
		"localhost:8081": 200, "localhost": 200, "127.0.0.1:8081": 200, "127.0.0.2": 200, "[::1]:8081": 200,
		"rebound.example:8081": 403, "localhost.rebound.example": 403, "10.0.0.1:8081": 403, "": 403,
	} {
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/symbol"} {
			req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
			req.Host = host
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, req)
			require.Equal(t, want, rec.Code, "%s %s", host, path)
		}
	}
}
