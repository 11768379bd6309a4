package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/api"
	"seckill/order"
)

// flood sends so many requests of a shopper at once, and returns how many were
// let through.
func (s *shop) flood(t *testing.T, n int, path string, headers ...string) (passed int) {
	t.Helper()
	for range n {
		if a := s.get(t, path, headers...); a.StatusCode != http.StatusTooManyRequests {
			passed++
		}
	}
	return passed
}

func TestAShoppersRateChangesAndTheirBucketStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		const path = "/v1/orders/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		set := func(rps float64, burst int) {
			s.server.SetLimits(api.Limits{PollInflight: 10, ShopperRPS: rps, ShopperBurst: burst})
		}
		require.Equal(t, 100, s.flood(t, 100, path), "no limit")
		set(10, 20)
		require.Equal(t, 20, s.flood(t, 100, path))
		time.Sleep(time.Second)
		require.Equal(t, 10, s.flood(t, 100, path), "10 a second")
		set(10, 20)
		require.Zero(t, s.flood(t, 100, path), "the same limits again fill no bucket")
		set(5, 5)
		require.Zero(t, s.flood(t, 100, path), "nor do others")
		time.Sleep(time.Second)
		require.Equal(t, 5, s.flood(t, 100, path), "half the rate; who had emptied a larger bucket waits no longer than for this one")
		set(100, 100)
		time.Sleep(time.Second)
		require.Equal(t, 100, s.flood(t, 200, path))
		set(0, 1)
		require.Equal(t, 100, s.flood(t, 100, path), "no limit any more")
		set(1e-300, 1<<20)
		require.Equal(t, 200, s.flood(t, 200, path), "the slowest rate has its burst")
	})
}

func TestTheLimitOfAnAddressIsPutOnAndOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		forged := []string{"Authorization", "Bearer forged"}
		require.Equal(t, 50, s.flood(t, 50, "/v1/orders?sale_id=1", forged...))
		s.server.SetLimits(api.Limits{AddressRPS: 2})
		require.Equal(t, 10, s.flood(t, 50, "/v1/orders?sale_id=1", forged...), "5 s of it")
		s.server.SetLimits(api.Limits{})
		require.Equal(t, 50, s.flood(t, 50, "/v1/orders?sale_id=1", forged...))
	})
}

func TestCapsChangeAndWhatIsUnderWayGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := newShop(t, func(s *shop) { s.opts.Gate = func(context.Context, int64) error { <-release; return nil } })
		var wg sync.WaitGroup
		buy := func() *httptest.ResponseRecorder {
			rec := httptest.NewRecorder()
			wg.Go(func() { s.h.ServeHTTP(rec, request(http.MethodPost, buyPath, "{}")) })
			synctest.Wait()
			return rec
		}
		first, second := buy(), buy()
		s.server.SetLimits(api.Limits{BuyInflight: 1, PollInflight: 1})
		problem(t, s.buy(t, "{}"), 503, "overloaded")
		s.server.SetLimits(api.Limits{BuyInflight: 3, PollInflight: 1})
		third := buy()
		problem(t, s.buy(t, "{}"), 503, "overloaded")
		close(release)
		wg.Wait()
		for _, rec := range []*httptest.ResponseRecorder{first, second, third} {
			require.Equal(t, http.StatusAccepted, rec.Code)
		}
	})
}

func TestHeldPollsStayHeldUnderALowerCap(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, s *shop, o order.Order, _ context.CancelFunc) {
		began := time.Now()
		a, b := s.held(t.Context(), o, "20s"), s.held(t.Context(), o, "20s")
		synctest.Wait()
		s.server.SetLimits(api.Limits{HeldPolls: 1, PollInflight: 10})
		require.Contains(t, <-s.held(t.Context(), o, "20s"), `"pending"`)
		require.Zero(t, time.Since(began), "none more is held")
		s.server.SetLimits(api.Limits{HeldPolls: 3, PollInflight: 10})
		c := s.held(t.Context(), o, "20s")
		synctest.Wait()
		require.Empty(t, c)
		<-a
		<-b
		require.Equal(t, 20*time.Second, time.Since(began))
		<-c
	})
}
