package api_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"seckill/api"
	"seckill/order"
)

// refusals returns what reg has counted, by kind and cause, without zeros.
func refusals(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	require.Len(t, families, 1)
	found := map[string]float64{}
	for _, m := range families[0].GetMetric() {
		if n := m.GetCounter().GetValue(); n > 0 {
			found[m.GetLabel()[1].GetValue()+" "+m.GetLabel()[0].GetValue()] = n
		}
	}
	return found
}

// counted makes the shop count its refusals.
func (s *shop) counted(t *testing.T) *prometheus.Registry {
	t.Helper()
	reg := prometheus.NewRegistry()
	s.opts.Denials = api.NewDenials(reg, s.opts.Log)
	s.reopen(t)
	return reg
}

// logged returns the lines that say what was refused.
func (s *shop) logged(t *testing.T) (lines []map[string]any) {
	t.Helper()
	for line := range strings.Lines(s.logs.String()) {
		var l map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &l))
		if l["msg"] == "refused" {
			delete(l, "time")
			delete(l, "level")
			lines = append(lines, l)
		}
	}
	return lines
}

// signed returns a token that is valid but for its header and claims.
func signed(t *testing.T, kid string, claims jwt.MapClaims) string {
	t.Helper()
	all := jwt.MapClaims{"sub": "42", "iss": "iss", "aud": "aud", "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(all, claims)
	j := jwt.NewWithClaims(jwt.SigningMethodHS256, all)
	if kid != "" {
		j.Header["kid"] = kid
	}
	text, err := j.SignedString([]byte(secretKey))
	require.NoError(t, err)
	return text
}

func TestAShoppersRefusedTokenIsCountedAndItsCauseLogged(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	reg := s.counted(t)
	forged := signed(t, "", nil)
	forged = forged[:len(forged)-1] + map[bool]string{true: "E", false: "A"}[forged[len(forged)-1] == 'A']
	for _, c := range []struct{ token, cause, kid string }{
		{signed(t, "", jwt.MapClaims{"exp": 1}), "expired", ""},
		{signed(t, "", jwt.MapClaims{"nbf": time.Now().Add(time.Hour).Unix()}), "not_yet_valid", ""},
		{signed(t, "", jwt.MapClaims{"aud": "operators"}), "audience", ""},
		{signed(t, "", jwt.MapClaims{"iss": "x"}), "issuer", ""},
		{signed(t, "2025-old", nil), "key_unknown", "2025-old"},
		{signed(t, "", jwt.MapClaims{"pad": strings.Repeat("x", 4096)}), "too_long", ""},
		{forged, "signature", ""},
		{"garbage", "malformed", ""},
	} {
		a := s.do(t, request(http.MethodGet, "/v1/orders", "", "Authorization", "Bearer "+c.token, "X-Request-Id", "r-1"))
		problem(t, a, 401, "unauthenticated")
		require.Equal(t, `Bearer error="invalid_token"`, a.Header.Get("WWW-Authenticate"), "the shopper learns no cause")
		require.NotContains(t, a.text, c.cause)
		lines := s.logged(t)
		want := map[string]any{"msg": "refused", "kind": "shopper", "cause": c.cause, "route": "/v1/orders", "address": "192.0.2.1", "request_id": "r-1"}
		if c.kid != "" {
			want["kid"] = c.kid
		}
		require.Equal(t, want, lines[len(lines)-1], c.cause)
		require.NotContains(t, s.logs.String(), c.token)
		require.InDelta(t, 1, refusals(t, reg)["shopper "+c.cause], 0, c.cause)
	}
	s.do(t, request(http.MethodGet, "/v1/orders", "", "Authorization", "Basic eDp5"))
	bare := request(http.MethodGet, "/v1/orders", "")
	bare.Header.Del("Authorization")
	s.do(t, bare)
	require.Equal(t, []float64{1, 2}, []float64{refusals(t, reg)["shopper no_token"], refusals(t, reg)["shopper malformed"]})
}

func TestAFloodOfForgedTokensIsCountedWholeAndLoggedInPart(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	reg := s.counted(t)
	for range 500 {
		s.do(t, request(http.MethodGet, "/v1/orders", "", "Authorization", "Bearer "+signed(t, "other", nil)))
	}
	s.do(t, request(http.MethodGet, "/v1/orders", "", "Authorization", "Bearer garbage"))
	require.Equal(t, map[string]float64{"shopper key_unknown": 500, "shopper malformed": 1}, refusals(t, reg))
	lines := s.logged(t)
	require.Less(t, len(lines), 50)
	require.Equal(t, "malformed", lines[len(lines)-1]["cause"], "one cause does not silence another")
}

func TestRefusedPermitsChallengesAndClaimsAreCounted(t *testing.T) {
	t.Parallel()
	right := checker(func(_ context.Context, answer, _ string) (bool, error) { return answer == "right", nil })
	s := permitShop(t, func(s *shop) {
		s.opts.Challenge = right
		s.backends.sales = append(s.backends.sales, saleAt(7003))
		s.backends.metas[7003] = metaOf(saleAt(7003))
	})
	s.backends.set(func() {
		for i := range s.backends.sales {
			if s.backends.sales[i].ID == 7003 {
				s.backends.sales[i].RequireClaim = "verified_buyer"
			}
		}
	})
	reg := s.counted(t)
	s.permit(t, "")
	s.permit(t, `{"challenge":"wrong"}`)
	good := s.permit(t, `{"challenge":"right"}`).str("permit")
	require.NotEmpty(t, good)
	s.buy(t, "{}")
	s.buy(t, "{}", api.HeaderPermit, "short")
	s.buy(t, "{}", api.HeaderPermit, strings.Repeat("A", 32))
	s.buy(t, "{}", "Authorization", "Bearer "+token("43"), api.HeaderPermit, good)
	s.backends.set(func() { s.backends.now = func() time.Time { return time.Now().Add(3 * minute) } })
	s.refresh(t)
	s.buy(t, "{}", api.HeaderPermit, good)
	problem(t, s.do(t, request(http.MethodPost, "/v1/sales/7003/orders", "{}")), 403, "forbidden")
	require.Equal(t, map[string]float64{
		"challenge missing": 1, "challenge failed": 1, "permit missing": 1, "permit malformed": 1, "permit forged": 2, "permit expired": 1, "shopper claim": 1,
	}, refusals(t, reg))
	require.NotContains(t, s.logs.String(), good)
}

func TestRefusedPaymentCallbacksAreCountedByCause(t *testing.T) {
	t.Parallel()
	s, f, o := newPayments(t)
	reg := s.counted(t)
	now, good := time.Now(), paymentOf(s.publicID(o), 19800, "CNY")
	late := Callback(newSecret, "evt_1", now.Add(-6*minute), good)
	forged := Callback([]byte(strings.Repeat("x", 32)), "evt_1", now, good)
	unsigned := Callback(newSecret, "evt_1", now, good)
	unsigned.Header.Del("webhook-signature")
	for _, r := range []*http.Request{
		late, forged, unsigned, Callback(newSecret, "evt_1", now, "{}"), Callback(newSecret, "evt_1", now, "no JSON"),
		Callback(newSecret, "evt_1", now, paymentOf("123", 19800, "CNY")), Callback(newSecret, "evt_1", now, paymentOf(s.publicID(o), 1, "CNY")),
	} {
		require.GreaterOrEqual(t, s.do(t, r).StatusCode, 400)
	}
	f.err = order.ErrConflict
	s.do(t, Callback(newSecret, "evt_1", now, good))
	f.err = context.DeadlineExceeded
	require.Equal(t, 503, s.do(t, Callback(newSecret, "evt_1", now, good)).StatusCode, "our own trouble is no refusal")
	f.err = nil
	require.Equal(t, 200, s.do(t, Callback(newSecret, "evt_1", now, good)).StatusCode)
	require.Equal(t, map[string]float64{
		"payment time": 1, "payment signature": 1, "payment header": 1, "payment body": 2, "payment order_unknown": 1, "payment wrong_amount": 1, "payment event_reused": 1,
	}, refusals(t, reg))
	lines := s.logged(t)
	require.Equal(t, "Webhook-Timestamp is 6m0s behind: too far from the server's time", lines[0]["detail"])
	require.Equal(t, "/v1/payments", lines[0]["route"])
	require.NotContains(t, s.logs.String(), forged.Header.Get("webhook-signature"))
}
