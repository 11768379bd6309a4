package api_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"seckill/api"
	"seckill/order"
	"seckill/stock"
)

const permitPath = "/v1/sales/7001/permits"

// permitShop has two open sales that require a permit: openSale and 7002.
func permitShop(tb testing.TB, change ...func(*shop)) *shop {
	tb.Helper()
	gated := func(s *shop) {
		s.backends.sales = append(s.backends.sales, saleAt(7002))
		s.backends.metas[7002] = metaOf(saleAt(7002))
		for i := range s.backends.sales {
			s.backends.sales[i].RequirePermit = true
		}
	}
	return newShop(tb, append([]func(*shop){gated}, change...)...)
}

func (s *shop) permit(tb testing.TB, body string, headers ...string) answer {
	tb.Helper()
	return s.do(tb, request(http.MethodPost, permitPath, body, headers...))
}

func TestAPermitIsForOneShopperOneSaleAndAShortTime(t *testing.T) {
	t.Parallel()
	s := permitShop(t)
	a := s.permit(t, "")
	require.Equal(t, 200, a.StatusCode, a.text)
	require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
	until, err := time.Parse(time.RFC3339, a.str("expires_at"))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(2*minute), until, 5*time.Second)
	require.Empty(t, s.backends.calls())

	good, path := a.str("permit"), buyPath
	require.Len(t, good, 32)
	last := map[bool]string{true: "B", false: "A"}[good[31] == 'A']
	for name, bad := range map[string]string{
		"another shopper's": s.permit(t, "", "Authorization", "Bearer "+token("43")).str("permit"),
		"another sale's":    s.do(t, request(http.MethodPost, "/v1/sales/7002/permits", "")).str("permit"),
		"later":             "f" + good[1:], "changed": good[:31] + last, "cut": good[:31], "longer": good + "A",
		"garbage": "'; DROP TABLE sales", "of nothing": strings.Repeat("A", 32),
	} {
		require.NotEqual(t, good, bad, name)
		problem(t, s.do(t, request(http.MethodPost, path, "{}", api.HeaderPermit, bad)), 403, "permit-invalid")
	}
	problem(t, s.buy(t, "{}"), 403, "permit-required")
	twice := request(http.MethodPost, path, "{}")
	twice.Header[api.HeaderPermit] = []string{good, good}
	problem(t, s.do(t, twice), 403, "permit-invalid")
	require.Empty(t, s.backends.calls(), "no store is asked")

	for range 2 {
		require.Equal(t, 202, s.buy(t, "{}", api.HeaderPermit, good).StatusCode, "a sale without a limit: good as often as its shopper likes")
	}
	s.backends.set(func() { s.backends.now = func() time.Time { return time.Now().Add(2*minute + time.Second) } })
	s.refresh(t)
	problem(t, s.buy(t, "{}", api.HeaderPermit, good), 403, "permit-invalid")
}

func TestAPermitIsRefusedAsThePurchaseWouldBe(t *testing.T) {
	t.Parallel()
	early := permitShop(t, func(s *shop) {
		m := s.backends.metas[openSale]
		m.StartsAt = time.Now().Add(minute)
		s.backends.metas[openSale] = m
	})
	a := early.permit(t, "", "Date", time.Now().Add(2*minute).UTC().Format(http.TimeFormat))
	problem(t, a, 409, "sale-not-open")
	require.NotEmpty(t, a.str("starts_at"))

	s := permitShop(t)
	problem(t, s.permit(t, "", "Authorization", ""), 401, "unauthenticated")
	problem(t, s.permit(t, `{"challenge":1}`), 400, "malformed-json")
	problem(t, s.permit(t, `{"user_id":1}`), 400, "unexpected-field")
	problem(t, s.permit(t, "x", "Content-Type", "text/plain"), 415, "unsupported-media")
	problem(t, s.permit(t, strings.Repeat(" ", 5000)), 413, "too-large")
	problem(t, s.do(t, request(http.MethodPost, "/v1/sales/9/permits", "")), 404, "not-found")
	get := s.get(t, permitPath)
	problem(t, get, 405, "method-not-allowed")
	require.Equal(t, "OPTIONS, POST", get.Header.Get("Allow"))
	s.catalog.MarkSoldOut(openSale)
	problem(t, s.permit(t, ""), 409, "sold-out")

	free := newShop(t)
	a = free.permit(t, "")
	problem(t, a, 404, "not-found")
	require.Contains(t, a.str("detail"), "requires no permit")
	require.Equal(t, 202, free.buy(t, "", api.HeaderPermit, "whatever").StatusCode)
	require.NotContains(t, free.get(t, "/v1/sales").text, "require_")

	shown := s.get(t, "/v1/sales/7002").body
	require.Equal(t, true, shown["require_permit"])
}

// Redis decides whether a permit is spent: it gets the sale's limit, and when the
// permit was issued.
func TestAPurchaseComesOnTheTermsOfItsSaleAndPermit(t *testing.T) {
	t.Parallel()
	s := permitShop(t, func(s *shop) { s.backends.sales[0].AttemptsPerShopper = 3 })
	a := s.permit(t, "")
	until, err := time.Parse(time.RFC3339, a.str("expires_at"))
	require.NoError(t, err)
	var got stock.Purchase
	s.backends.reserve = func(p stock.Purchase) (stock.Reservation, error) { got = p; return stock.Reservation{}, nil }
	require.Equal(t, 202, s.buy(t, "{}", api.HeaderPermit, a.str("permit")).StatusCode)
	require.Equal(t, 3, got.Attempts)
	require.Equal(t, until.Add(-2*minute).UnixMilli(), got.PermitAt.UnixMilli())
	require.EqualValues(t, 3, s.get(t, "/v1/sales/7001").body["attempts_per_shopper"])

	free := newShop(t)
	free.backends.reserve = s.backends.reserve
	require.Equal(t, 202, free.buy(t, "{}", api.HeaderPermit, "whatever").StatusCode)
	require.Zero(t, got.Attempts)
	require.Zero(t, got.PermitAt)
	require.NotContains(t, free.get(t, "/v1/sales").text, "attempts_per_shopper")
}

func TestPermitsAreLimited(t *testing.T) {
	t.Parallel()
	s := permitShop(t, func(s *shop) { s.opts.Limits.ShopperRPS, s.opts.Limits.ShopperBurst = 0.001, 2 })
	for range 2 {
		require.Equal(t, 200, s.permit(t, "").StatusCode)
	}
	problem(t, s.permit(t, ""), 429, "rate-limited")
}

func TestPermitsOfAnOlderSecretAreAccepted(t *testing.T) {
	t.Parallel()
	s := permitShop(t)
	old := s.permit(t, "").str("permit")
	reopened := func(secrets ...string) int {
		var keys [][]byte
		for _, k := range secrets {
			keys = append(keys, []byte(k))
		}
		var err error
		s.opts.Permits, err = api.NewPermits(keys, minute)
		require.NoError(t, err)
		s.reopen(t)
		return s.buy(t, "", api.HeaderPermit, old).StatusCode
	}
	require.Equal(t, 202, reopened(secretKey+"2", secretKey))
	require.Equal(t, 403, reopened(secretKey+"2"))
	for _, bad := range [][][]byte{nil, {[]byte("short")}} {
		_, err := api.NewPermits(bad, minute)
		require.Error(t, err)
	}
	_, err := api.NewPermits([][]byte{[]byte(secretKey)}, 0)
	require.Error(t, err, "valid for no time")
}

// checker is a challenge's provider.
type checker func(ctx context.Context, answer, address string) (bool, error)

func (c checker) Check(ctx context.Context, answer, address string) (bool, error) {
	return c(ctx, answer, address)
}

func TestAPermitMayWantAChallengeAnswered(t *testing.T) {
	t.Parallel()
	var asked []string
	s := permitShop(t, func(s *shop) {
		s.opts.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		s.opts.Challenge = checker(func(_ context.Context, answer, address string) (bool, error) {
			asked = append(asked, answer+" "+address)
			if answer == "away" {
				return true, errors.New("the provider is away")
			}
			return answer == "right", nil
		})
	})
	for _, body := range []string{"", "{}", `{"challenge":""}`} {
		problem(t, s.permit(t, body), 403, "challenge-failed")
	}
	require.Empty(t, asked)
	problem(t, s.permit(t, `{"challenge":"wrong"}`), 403, "challenge-failed")
	a := s.permit(t, `{"challenge":"away"}`)
	problem(t, a, 503, "dependency-down")
	require.Contains(t, a.str("detail"), "challenge")
	require.Contains(t, s.logs.String(), "the provider is away")
	a = s.permit(t, `{"challenge":"right"}`, "X-Forwarded-For", "9.9.9.9, 2001:db8::7")
	require.Equal(t, 200, a.StatusCode, a.text)
	require.Equal(t, []string{"wrong 192.0.2.1", "away 192.0.2.1", "right 2001:db8::7"}, asked)
	require.Equal(t, 202, s.buy(t, "", api.HeaderPermit, a.str("permit")).StatusCode)
}

func TestChallengesUnderWayAreCappedAndNotInTheWayOfBuying(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	s := permitShop(t, func(s *shop) {
		s.opts.Limits.BuyInflight = 1
		s.opts.Challenge = checker(func(context.Context, string, string) (bool, error) {
			close(entered)
			<-leave
			return true, nil
		})
	})
	first, done := httptest.NewRecorder(), make(chan struct{})
	go func() {
		defer close(done)
		s.h.ServeHTTP(first, request(http.MethodPost, permitPath, `{"challenge":"a"}`))
	}()
	<-entered
	problem(t, s.permit(t, `{"challenge":"a"}`), 503, "overloaded")
	good := permitShop(t).permit(t, "").str("permit")
	require.Equal(t, 202, s.buy(t, "", api.HeaderPermit, good).StatusCode)
	close(leave)
	<-done
	require.Equal(t, 200, first.Code)
}

func TestOneShopperHasOneCheckInProgress(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}, 2), make(chan struct{})
	s := permitShop(t, func(s *shop) {
		s.opts.Challenge = checker(func(context.Context, string, string) (bool, error) {
			entered <- struct{}{}
			<-leave
			return true, nil
		})
	})
	var wg sync.WaitGroup
	check := func(shopper string) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		wg.Go(func() {
			s.h.ServeHTTP(rec, request(http.MethodPost, permitPath, `{"challenge":"a"}`, "Authorization", "Bearer "+token(shopper)))
		})
		return rec
	}
	first := check("42")
	<-entered
	a := s.permit(t, `{"challenge":"a"}`)
	problem(t, a, 429, "rate-limited")
	require.NotEmpty(t, a.Header.Get("Retry-After"))
	other := check("43")
	<-entered
	close(leave)
	wg.Wait()
	require.Equal(t, 200, first.Code)
	require.Equal(t, 200, other.Code)
	require.Equal(t, 200, s.permit(t, `{"challenge":"a"}`).StatusCode)
}

func TestASaleMayBeForTokensWithAClaim(t *testing.T) {
	t.Parallel()
	for required, may := range map[string]bool{"verified": true, "verified=true": false, "absent": false, "tier=gold": true, "tier=silver": false} {
		t.Run(required, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, func(s *shop) { s.backends.sales[0].RequireClaim = required })
			bearer := "Bearer " + sign(jwt.SigningMethodHS256, []byte(secretKey), "", jwt.MapClaims{"verified": true, "tier": "gold"})
			for range 2 { // the second time the token is known
				a := s.buy(t, "", "Authorization", bearer)
				if may {
					require.Equal(t, 202, a.StatusCode, a.text)
					continue
				}
				problem(t, a, 403, "forbidden")
				require.Empty(t, s.backends.calls())
			}
			require.Equal(t, required, s.get(t, "/v1/sales/7001").str("require_claim"))
			require.Equal(t, 200, s.get(t, "/v1/orders?sale_id=7001", "Authorization", bearer).StatusCode, "looking needs no claim")
		})
	}
}

func TestAPermitNeedsTheClaimToo(t *testing.T) {
	t.Parallel()
	s := permitShop(t, func(s *shop) { s.backends.sales[0].RequireClaim = "vip" })
	problem(t, s.permit(t, ""), 403, "forbidden")
}

func BenchmarkAcceptedWithPermitAndClaim(b *testing.B) {
	for name, sale := range map[string]order.Sale{"permit": {RequirePermit: true}, "claim": {RequireClaim: "sub=42"}} {
		b.Run(name, func(b *testing.B) {
			s := newShop(b, func(s *shop) {
				s.backends.sales[0].RequirePermit, s.backends.sales[0].RequireClaim = sale.RequirePermit, sale.RequireClaim
			})
			headers := []string{}
			if sale.RequirePermit {
				headers = []string{api.HeaderPermit, s.permit(b, "").str("permit")}
			}
			once := run(b, s, http.StatusAccepted, headers...)
			b.ReportAllocs()
			for b.Loop() {
				once()
				s.backends.asked, s.backends.published = s.backends.asked[:0], s.backends.published[:0]
			}
		})
	}
}
