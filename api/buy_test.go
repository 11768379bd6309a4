package api_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"seckill/api"
	"seckill/order"
	"seckill/stock"
)

func TestAPurchaseIsReservedSentAndAnsweredWith202(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	a := s.buy(t, `{"quantity":2,"reference":"cart-77"}`)
	require.Equal(t, http.StatusAccepted, a.StatusCode, a.text)
	require.Equal(t, []string{"reserve", "publish"}, s.backends.calls())
	require.Len(t, s.backends.published, 1)
	o := s.backends.published[0]
	require.Equal(t, order.Order{ID: o.ID, SaleID: openSale, ShopperID: "42", Quantity: 2, Reference: "cart-77"}, o)
	require.Equal(t, s.publicID(o), a.str("id"))
	require.Equal(t, "/v1/orders/"+a.str("id"), a.Header.Get("Location"))
	require.Equal(t, "1", a.Header.Get("Retry-After"))
	require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
	require.Empty(t, a.Header.Get("Idempotent-Replayed"))
	require.Equal(t, map[string]any{
		"id": a.str("id"), "sale_id": "7001", "quantity": 2.0, "reference": "cart-77", "status": "pending", "done": false,
		"created_at": o.ID.Time().Format("2006-01-02T15:04:05.000Z"), "poll_after_ms": a.body["poll_after_ms"],
	}, a.body)
	require.InDelta(t, 850, a.body["poll_after_ms"], 150)
}

func TestWhateverTheSendDidTheAnswerIs202(t *testing.T) {
	t.Parallel()
	for name, urgent := range map[string]error{"the sweeper is told": nil, "the sweeper cannot be told": errors.New("redis away")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			s.backends.publishErr, s.backends.urgentErr = errors.New("broker timeout"), urgent
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // the shopper has left: what was reserved is carried on all the same
			a := s.do(t, request(http.MethodPost, buyPath, "{}").WithContext(ctx))
			require.Equal(t, http.StatusAccepted, a.StatusCode, a.text)
			require.Equal(t, []string{"reserve", "publish", "urgent"}, s.backends.calls())
			require.Contains(t, s.logs.String(), "broker timeout")
			require.NotContains(t, s.logs.String(), "context canceled")
			if urgent != nil {
				require.Contains(t, s.logs.String(), "redis away")
			}
		})
	}
}

func TestWhatTheReservationSaysIsMapped(t *testing.T) {
	t.Parallel()
	held := &stock.Entry{Order: order.Order{ID: 99, Quantity: 1}, State: stock.EntryPending}
	tests := []struct {
		name   string
		res    stock.Reservation
		err    error
		status int
		code   string
		extra  string
		logged bool
	}{
		{"sold out", stock.Reservation{Err: stock.ErrSoldOut}, nil, 409, "sold-out", `"final":false,"orders_url":"/v1/orders?sale_id=7001"`, false},
		{"not open", stock.Reservation{Err: stock.ErrNotOpen}, nil, 409, "sale-not-open", `"starts_at":"2`, false},
		{"ended", stock.Reservation{Err: stock.ErrEnded}, nil, 410, "sale-ended", `"orders_url"`, false},
		{"paused", stock.Reservation{Err: stock.ErrPaused}, nil, 503, "sale-paused", `"orders_url"`, false},
		{"not loaded", stock.Reservation{Err: stock.ErrNotLoaded}, nil, 503, "dependency-down", "nothing was reserved", false},
		{"limit", stock.Reservation{Err: stock.ErrPurchaseLimit, Entry: held}, nil, 409, "purchase-limit", `"order_url":"/v1/orders/`, false},
		{"attempts used", stock.Reservation{Err: stock.ErrAttemptsUsed}, nil, 409, "attempts-used", `"orders_url":"/v1/orders?sale_id=7001"`, false},
		{"soon after a return", stock.Reservation{Err: stock.ErrReturnPause, Wait: 9100 * time.Millisecond}, nil, 429, "return-pause", `"orders_url"`, false},
		{"permit spent", stock.Reservation{Err: stock.ErrPermitSpent}, nil, 403, "permit-invalid", "so it is spent", false},
		{"unknown", stock.Reservation{}, stock.ErrUnknown, 503, "dependency-down", `"orders_url":"/v1/orders?sale_id=7001"`, true},
		{"surely not", stock.Reservation{}, stock.ErrUnavailable, 503, "dependency-down", "nothing was reserved", false},
		{"busy", stock.Reservation{}, stock.ErrBusy, 503, "overloaded", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			s.backends.reserve = func(stock.Purchase) (stock.Reservation, error) {
				return tt.res, tt.err
			}
			a := s.buy(t, "{}")
			problem(t, a, tt.status, tt.code)
			require.Contains(t, a.text, tt.extra)
			require.Equal(t, []string{"reserve"}, s.backends.calls(), "nothing is sent, nothing is given back")
			if tt.status == 429 {
				require.Equal(t, "10", a.Header.Get("Retry-After"))
			}
			require.Equal(t, tt.status == 503 || tt.status == 429 || tt.code == "sale-not-open", a.Header.Get("Retry-After") != "")
			require.Equal(t, tt.logged, s.logs.String() != "", s.logs.String())
		})
	}
}

func TestTheLocalCopyRefusesBeforeTheTokenIsRead(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*order.Sale, *stock.Meta)
		status int
		code   string
		extra  string
	}{
		{"sold out", func(_ *order.Sale, m *stock.Meta) { m.Available, m.Pending = 0, 5 }, 409, "sold-out", `"final":false,"orders_url":"/v1/orders?sale_id=7001"`},
		{"sold out for good", func(_ *order.Sale, m *stock.Meta) { m.Available, m.Total = 0, 0 }, 409, "sold-out", `"final":true`},
		{"before the start", func(_ *order.Sale, m *stock.Meta) { m.StartsAt = time.Now().Add(5 * time.Second) }, 409, "sale-not-open", `"starts_at":"2`},
		{"after the end", func(_ *order.Sale, m *stock.Meta) { m.EndsAt = time.Now() }, 410, "sale-ended", `"orders_url":"/v1/orders?sale_id=7001"`},
		{"ended", func(_ *order.Sale, m *stock.Meta) { m.State = order.SaleEnded }, 410, "sale-ended", `"orders_url"`},
		{"paused", func(_ *order.Sale, m *stock.Meta) { m.State = order.SalePaused }, 503, "sale-paused", `"orders_url"`},
		{"lost by Redis", func(_ *order.Sale, m *stock.Meta) { *m = stock.Meta{} }, 503, "dependency-down", "nothing was reserved"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, func(s *shop) {
				m := s.backends.metas[openSale]
				tt.change(&s.backends.sales[0], &m)
				s.backends.metas[openSale] = m
			})
			for _, byEcho := range []bool{false, true} {
				r := request(http.MethodPost, buyPath, "{}", "Authorization", "", "Date", "Mon, 01 Jan 2035 00:00:00 GMT")
				if byEcho { // what the fast path leaves to Echo
					r.URL.RawPath = r.URL.Path
				}
				a := s.do(t, r)
				problem(t, a, tt.status, tt.code)
				require.Contains(t, a.text, tt.extra)
				require.Equal(t, strconv.Itoa(len(a.text)), a.Header.Get("Content-Length"))
				require.Equal(t, "en", a.Header.Get("Content-Language"))
				if tt.code == "sale-not-open" {
					require.Contains(t, []string{"5", "4"}, a.Header.Get("Retry-After"))
				}
			}
			problem(t, s.permit(t, "{}"), tt.status, tt.code)
			zh := s.buy(t, "{}", "Accept-Language", "fr, zh;q=0.8, en;q=0.5")
			require.Equal(t, tt.code, zh.str("code"))
			require.Equal(t, "zh-CN", zh.Header.Get("Content-Language"))
			require.Regexp(t, `\p{Han}`, zh.str("title"))
			require.Empty(t, s.backends.calls(), "no store is asked")
		})
	}
}

func TestStockThatComesBackIsSoldAgain(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.catalog.MarkSoldOut(openSale)
	problem(t, s.buy(t, "{}"), 409, "sold-out")
	s.refresh(t)
	require.Equal(t, 202, s.buy(t, "{}").StatusCode)
}

func TestARefusalFollowsTheSale(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for _, in := range []time.Duration{time.Hour, 2 * time.Hour} {
		starts := time.Now().Add(in).UTC()
		m := s.backends.metas[openSale]
		m.StartsAt, m.EndsAt = starts, starts.Add(time.Hour)
		s.backends.metas[openSale] = m
		s.refresh(t)
		require.Equal(t, starts.Format("2006-01-02T15:04:05.000Z"), s.buy(t, "").str("starts_at"))
	}
}

func TestTheGatesStandInOrder(t *testing.T) {
	t.Parallel()
	s := newShop(t, func(s *shop) {
		s.opts.Gate = func(context.Context, int64) error { return api.ErrBacklog }
		s.opts.Limits.ShopperRPS, s.opts.Limits.ShopperBurst = 0.01, 2
	})
	problem(t, s.buy(t, "{", "Authorization", ""), 401, "unauthenticated") // token before body
	problem(t, s.buy(t, "{"), 400, "malformed-json")                       // body before backlog
	problem(t, s.buy(t, "{}"), 503, "backlog")
	a := s.buy(t, "{") // rate before body
	problem(t, a, 429, "rate-limited")
	require.NotEmpty(t, a.Header.Get("Retry-After"))
	require.Equal(t, 503, s.buy(t, "{}", "Authorization", "Bearer "+token("43")).StatusCode, "another shopper has a quota of their own")
	s.catalog.MarkSoldOut(openSale)
	problem(t, s.buy(t, "{}"), 409, "sold-out") // sold out before rate
	problem(t, s.buy(t, strings.Repeat(" ", 5000)), 413, "too-large")
	require.Empty(t, s.backends.calls())
}

func TestADependencyThatIsDownRefusesBeforeAnythingIsDeducted(t *testing.T) {
	t.Parallel()
	s := newShop(t, func(s *shop) { s.opts.Gate = func(context.Context, int64) error { return errors.New("breaker open") } })
	a := s.buy(t, "{}")
	problem(t, a, 503, "dependency-down")
	require.NotEmpty(t, a.Header.Get("Retry-After"))
	require.Empty(t, s.backends.calls())
	require.Empty(t, s.logs.String(), "the breaker has said it")
}

func TestPurchasesUnderWayAreCapped(t *testing.T) {
	t.Parallel()
	s := newShop(t, func(s *shop) { s.opts.Limits.BuyInflight = 1 })
	entered, release := make(chan struct{}), make(chan struct{})
	s.backends.reserve = func(stock.Purchase) (stock.Reservation, error) {
		close(entered)
		<-release
		return stock.Reservation{}, nil
	}
	first, done := httptest.NewRecorder(), make(chan struct{})
	go func() {
		defer close(done)
		s.h.ServeHTTP(first, request(http.MethodPost, buyPath, "{}"))
	}()
	<-entered
	problem(t, s.buy(t, "{}"), 503, "overloaded")
	close(release)
	<-done
	require.Equal(t, 202, first.Code)
	s.backends.reserve = nil
	require.Equal(t, 202, s.buy(t, "{}").StatusCode, "the place is free again")
}

func TestAProcessWithoutIDsOrCatalogRefuses(t *testing.T) {
	t.Parallel()
	s := newShop(t, func(s *shop) { s.backends.idErr = order.ErrNodeIDRetired })
	problem(t, s.buy(t, "{}"), 503, "dependency-down")
	require.Empty(t, s.backends.calls())
	s = newShop(t, func(s *shop) { s.backends.noCatalog = true })
	problem(t, s.buy(t, "{}"), 503, "dependency-down")
	problem(t, s.get(t, "/v1/sales"), 503, "dependency-down")
	problem(t, s.get(t, "/v1/sales/7001"), 503, "dependency-down")
}

func TestReplays(t *testing.T) {
	t.Parallel()
	id := idAt(time.Now())
	o := order.Order{ID: id, SaleID: openSale, ShopperID: "42", Quantity: 1, Reference: "a"}
	row := func(st order.Status, reason order.Reason) order.Record {
		return order.Record{Order: o, Status: st, Reason: reason, UnitPrice: 9900, DecidedAt: time.Now(), PayBy: time.Now()}
	}
	tests := []struct {
		name   string
		state  stock.EntryState
		row    *order.Record
		rowErr error
		body   string
		status int
		want   string
	}{
		{"pending", stock.EntryPending, nil, nil, `{"reference":"a"}`, 202, `"status":"pending"`},
		{"paid", stock.EntrySettled, new(row(order.StatusPaid, "")), nil, `{"reference":"a"}`, 202, `"status":"paid"`},
		{"cancelled", stock.EntryCancelled, new(row(order.StatusCancelled, "")), nil, `{"reference":"a"}`, 202, `"status":"cancelled"`},
		{"rejected", stock.EntryRejected, new(row(order.StatusRejected, order.ReasonSoldOut)), nil, `{"reference":"a"}`, 202, `under orders_url.","final":false,"orders_url":"/v1/orders?sale_id=7001"`},
		{"other reference, pending", stock.EntryPending, nil, nil, `{"reference":"b"}`, 422, `"code":"idempotency-key-reused"`},
		{"other reference, paid", stock.EntrySettled, new(row(order.StatusPaid, "")), nil, `{}`, 422, `"order_url":"/v1/orders/`},
		{"other quantity", stock.EntryPending, nil, nil, `{"reference":"a","quantity":2}`, 422, `"code":"idempotency-key-reused"`},
		{"MySQL away", stock.EntrySettled, nil, errors.New("mysql away"), `{"reference":"a"}`, 503, `"order_url":"/v1/orders/`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			e := stock.Entry{Order: o, State: tt.state}
			if tt.state != stock.EntryPending {
				e.Reference = "" // as Redis forgets it
			}
			s.backends.entries, s.backends.rowErr = []stock.Entry{e}, tt.rowErr
			if tt.row != nil {
				s.backends.rows[id] = *tt.row
			}
			s.backends.reserve = func(got stock.Purchase) (stock.Reservation, error) {
				require.Equal(t, order.KeyDigest("k"), got.Key)
				return stock.Reservation{Err: stock.ErrReplay, Entry: &e}, nil
			}
			a := s.buy(t, tt.body, "Idempotency-Key", "k")
			require.Equal(t, tt.status, a.StatusCode, a.text)
			require.Contains(t, a.text, tt.want)
			if tt.status == 202 {
				require.Equal(t, "true", a.Header.Get("Idempotent-Replayed"))
				require.Equal(t, "/v1/orders/"+s.publicID(o), a.Header.Get("Location"))
			}
			require.NotContains(t, s.backends.calls(), "publish")
		})
	}
}

func TestBadTokens(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]string{
		"absent":       "",
		"garbage":      "Bearer garbage",
		"other scheme": "Basic " + token("42"),
		"no token":     "Bearer",
		"empty token":  "Bearer ",
		"wrong key":    "Bearer " + sign(jwt.SigningMethodHS256, []byte(strings.Repeat("x", 40)), "", nil),
		"expired":      "Bearer " + sign(jwt.SigningMethodHS256, []byte(secretKey), "", jwt.MapClaims{"exp": time.Now().Add(-time.Second).Unix()}),
		"enormous":     "Bearer " + strings.Repeat("a", 5000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			for range 2 { // a refused token is not remembered as a good one
				a := s.buy(t, "{}", "Authorization", header)
				problem(t, a, 401, "unauthenticated")
				require.True(t, strings.HasPrefix(a.Header.Get("Www-Authenticate"), "Bearer"))
			}
			problem(t, s.get(t, "/v1/orders?sale_id=7001", "Authorization", header), 401, "unauthenticated")
			problem(t, s.get(t, "/v1/orders/x", "Authorization", header), 401, "unauthenticated")
			require.Empty(t, s.backends.calls())
		})
	}
}
