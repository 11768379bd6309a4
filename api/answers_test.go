package api_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
	"seckill/stock"
)

// bilingual is the answer to one request in both languages.
type bilingual struct{ en, zh answer }

func inBothLanguages(ask func(language string) answer) bilingual {
	return bilingual{ask("en"), ask("zh-CN")}
}

func (b bilingual) contains(t *testing.T, en, zh string) {
	t.Helper()
	require.Contains(t, b.en.str("detail"), en)
	require.Contains(t, b.zh.str("detail"), zh)
}

func TestOnlyAnUnknownReservationIsSaidToBeUncertain(t *testing.T) {
	t.Parallel()
	away := errors.New("away")
	tests := []struct {
		name    string
		change  func(*shop)
		unknown bool
	}{
		{"the gate", func(s *shop) { s.opts.Gate = func(context.Context, int64) error { return away } }, false},
		{"no ID", func(s *shop) { s.backends.idErr = away }, false},
		{"lost by Redis", func(s *shop) { s.backends.metas[openSale] = stock.Meta{} }, false},
		{"surely not", func(s *shop) { s.backends.reserve = reserved(stock.Reservation{}, stock.ErrUnavailable) }, false},
		{"not loaded", func(s *shop) { s.backends.reserve = reserved(stock.Reservation{Err: stock.ErrNotLoaded}, nil) }, false},
		{"unknown", func(s *shop) { s.backends.reserve = reserved(stock.Reservation{}, stock.ErrUnknown) }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, tt.change)
			a := inBothLanguages(func(l string) answer { return s.buy(t, "{}", "Accept-Language", l) })
			for _, one := range []answer{a.en, a.zh} {
				problem(t, one, 503, "dependency-down")
				require.NotEmpty(t, one.Header.Get("Retry-After"))
				require.Equal(t, tt.unknown, one.str("orders_url") != "")
			}
			if tt.unknown {
				a.contains(t, "you may have an order", "您可能已有订单")
				return
			}
			a.contains(t, "nothing was reserved", "未占用库存")
			require.NotContains(t, a.en.str("detail"), "may hold")
			require.NotContains(t, a.zh.str("detail"), "可能已有")
		})
	}
}

func reserved(r stock.Reservation, err error) func(stock.Purchase) (stock.Reservation, error) {
	return func(stock.Purchase) (stock.Reservation, error) { return r, err }
}

func TestAReadThatFailsSaysNothingOfReservations(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.backends.rowErr = errors.New("mysql away")
	a := inBothLanguages(func(l string) answer { return s.get(t, "/v1/orders?sale_id=7001", "Accept-Language", l) })
	problem(t, a.en, 503, "dependency-down")
	require.NotContains(t, a.en.str("detail"), "reserved")
	require.NotContains(t, a.zh.str("detail"), "库存")
}

func TestAnotherPurchaseWantsAKey(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	e := stock.Entry{Order: order.Order{ID: idAt(time.Now()), SaleID: openSale, ShopperID: "42", Quantity: 2}, State: stock.EntryPending}
	s.backends.reserve = reserved(stock.Reservation{Err: stock.ErrReplay, Entry: &e}, nil)
	without := inBothLanguages(func(l string) answer { return s.buy(t, "{}", "Accept-Language", l) })
	problem(t, without.en, 422, "idempotency-key-reused")
	without.contains(t, "You have an order in this sale", "您在本活动中已有一笔")
	without.contains(t, "send an Idempotency-Key", "请发送 Idempotency-Key")
	require.NotEmpty(t, without.en.str("order_url"))
	with := inBothLanguages(func(l string) answer { return s.buy(t, "{}", "Accept-Language", l, "Idempotency-Key", "k") })
	problem(t, with.en, 422, "idempotency-key-reused")
	with.contains(t, "This key already names", "该幂等键已对应")
	e.Quantity = 0 // Redis lost it: there is nothing to compare with
	a := s.buy(t, "{}", "Idempotency-Key", "k")
	require.Equal(t, 202, a.StatusCode, a.text)
	require.Equal(t, "true", a.Header.Get("Idempotent-Replayed"))
}

func TestTheLimitPointsAtTheOrder(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	e := stock.Entry{Order: order.Order{ID: 99, Quantity: 1}, State: stock.EntryPending}
	s.backends.reserve = reserved(stock.Reservation{Err: stock.ErrPurchaseLimit, Entry: &e}, nil)
	a := inBothLanguages(func(l string) answer { return s.buy(t, "{}", "Accept-Language", l) })
	problem(t, a.en, 409, "purchase-limit")
	a.contains(t, "order_url", "order_url")
	require.NotEmpty(t, a.en.str("order_url"))
	s.backends.reserve = reserved(stock.Reservation{Err: stock.ErrPurchaseLimit}, nil)
	require.NotContains(t, s.buy(t, "{}").str("detail"), "order_url", "there is none")
}

func TestAnUnknownSalePointsAtTheSales(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for _, path := range []string{"/v1/sales/8", "/v1/sales/x", "/v1/orders?sale_id=8"} {
		a := inBothLanguages(func(l string) answer { return s.get(t, path, "Accept-Language", l) })
		problem(t, a.en, 404, "not-found")
		a.contains(t, "GET /v1/sales", "GET /v1/sales")
	}
	require.Contains(t, s.do(t, request("POST", "/v1/sales/8/orders", "{}")).str("detail"), "GET /v1/sales")
	require.NotContains(t, s.get(t, "/v1/orders/x").str("detail"), "/v1/sales")
}

func TestPollsAreRateLimited(t *testing.T) {
	t.Parallel()
	s := newShop(t, func(s *shop) { s.opts.Limits.ShopperRPS, s.opts.Limits.ShopperBurst = 0.001, 2 })
	o := mine(0)
	s.backends.entries = pendingEntry(o)
	for range 2 {
		require.Equal(t, 200, s.get(t, "/v1/orders/"+s.publicID(o)).StatusCode)
	}
	s.backends.reset()
	for _, path := range []string{s.publicID(o), s.publicID(o) + "?wait=20s", "x"} {
		a := s.get(t, "/v1/orders/"+path)
		problem(t, a, 429, "rate-limited")
		require.NotEmpty(t, a.Header.Get("Retry-After"))
	}
	require.Empty(t, s.backends.calls())
}

func TestTheWindowIsJudgedByTheTimeOfRedis(t *testing.T) {
	t.Parallel()
	in := func(start, end time.Duration) *shop {
		return newShop(t, func(s *shop) {
			s.backends.now = func() time.Time { return time.Now().Add(time.Hour) }
			m := s.backends.metas[openSale]
			m.StartsAt, m.EndsAt = time.Now().Add(start), time.Now().Add(end)
			s.backends.metas[openSale] = m
		})
	}
	require.Equal(t, 202, in(30*minute, 90*minute).buy(t, "{}").StatusCode, "open, whatever this host's clock says")
	a := in(-minute, 30*minute).buy(t, "{}")
	problem(t, a, 410, "sale-ended")
	require.Empty(t, a.Header.Get("X-Request-Id"), "answered ahead of Echo")
	a = in(70*minute, 90*minute).buy(t, "{}")
	problem(t, a, 409, "sale-not-open")
	require.InDelta(t, 600, seconds(t, a), 2)
}

func seconds(t *testing.T, a answer) float64 {
	t.Helper()
	d, err := time.ParseDuration(a.Header.Get("Retry-After") + "s")
	require.NoError(t, err)
	return d.Seconds()
}
