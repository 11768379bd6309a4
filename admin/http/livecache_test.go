package adminhttp_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/admin"
	adminhttp "seckill/admin/http"
	"seckill/fleet"
	"seckill/order"
	"seckill/stock"
)

// slow is MySQL, Redis and the fleet, each of which takes a while to answer.
type slow struct {
	noSales

	asked atomic.Int64
}

func (s *slow) answer() {
	s.asked.Add(1)
	time.Sleep(50 * time.Millisecond)
}

func (s *slow) Sale(ctx context.Context, id int64) (order.Sale, error) {
	s.answer()
	if err := ctx.Err(); err != nil {
		return order.Sale{}, err
	}
	if id == 404 {
		return order.Sale{}, order.ErrNotFound
	}
	return order.Sale{ID: id, Title: "Sneaker"}, nil
}

func (s *slow) Metas(_ context.Context, ids []int64) ([]stock.Meta, error) {
	s.answer()
	return make([]stock.Meta, len(ids)), nil
}

func (s *slow) Announce(context.Context, int64) error { return nil }

func (s *slow) Instances(context.Context) ([]fleet.Instance, error) {
	s.answer()
	return nil, nil
}

func (s *slow) AnnounceLimits(context.Context, uint64) error { return nil }

// gathering is how many questions a look at a sale is.
const gathering = 3

// watchers is the API on slow servers, and what looks at a sale there.
func watchers() (servers *slow, look func(ctx context.Context, saleID int) *httptest.ResponseRecorder) {
	servers = &slow{}
	h := adminhttp.NewHandler(admin.New(admin.Options{Sales: servers, Ledger: servers, Fleet: servers, Log: slog.New(slog.DiscardHandler)}), people{}, slog.New(slog.DiscardHandler))
	return servers, func(ctx context.Context, saleID int) *httptest.ResponseRecorder {
		req := httptest.NewRequestWithContext(ctx, http.MethodGet, adminhttp.Prefix+"live?sale_id="+strconv.Itoa(saleID), http.NoBody)
		req.Header.Set("Authorization", "Bearer victor")
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		return rec
	}
}

func TestFiftyWhoWatchASaleAskTheServersOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		servers, look := watchers()
		crowd := func(sale, status int) {
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() {
					require.Equal(t, status, look(t.Context(), sale).Code)
				})
			}
			all.Wait()
		}
		crowd(7, http.StatusOK)
		require.EqualValues(t, gathering, servers.asked.Load())
		time.Sleep(499 * time.Millisecond)
		crowd(7, http.StatusOK)
		require.EqualValues(t, gathering, servers.asked.Load(), "it is kept")
		crowd(8, http.StatusOK)
		require.EqualValues(t, 2*gathering, servers.asked.Load(), "another sale is another look")
		time.Sleep(time.Millisecond)
		crowd(7, http.StatusOK)
		require.EqualValues(t, 3*gathering, servers.asked.Load(), "half a second later it is looked at again")

		crowd(404, http.StatusNotFound)
		crowd(404, http.StatusNotFound)
		require.EqualValues(t, 3*gathering+1, servers.asked.Load(), "what is not there is not looked for by each, either")
	})
}

func TestWhoStopsWatchingStopsNobodyElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, look := watchers()
		leaving, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { look(leaving, 7) })
		synctest.Wait()
		all.Go(func() { require.NotContains(t, look(t.Context(), 7).Body.String(), "away") })
		synctest.Wait()
		leave()
		all.Wait()
	})
}

func TestWhatIsKeptOfLooksIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		servers, look := watchers()
		var all sync.WaitGroup
		for sale := range 1000 {
			all.Go(func() { look(t.Context(), 1000+sale) })
		}
		all.Wait()
		before := servers.asked.Load()
		for sale := range 1000 {
			all.Go(func() { look(t.Context(), 1000+sale) })
		}
		all.Wait()
		require.EqualValues(t, (1000-256)*gathering, servers.asked.Load()-before, "256 sales are")
	})
}
