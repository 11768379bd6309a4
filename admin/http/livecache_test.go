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

// slowServers are MySQL, Redis and the fleet, each with slow responses.
type slowServers struct {
	failingSales

	asked atomic.Int64
}

func (s *slowServers) answer() {
	s.asked.Add(1)
	time.Sleep(50 * time.Millisecond)
}

func (s *slowServers) Sale(ctx context.Context, id int64) (order.Sale, error) {
	s.answer()
	if err := ctx.Err(); err != nil {
		return order.Sale{}, err
	}
	if id == 404 {
		return order.Sale{}, order.ErrNotFound
	}
	return order.Sale{ID: id, Title: "Sneaker"}, nil
}

func (s *slowServers) SalesNamed(_ context.Context, n order.SaleName) ([]order.Sale, error) {
	s.answer()
	if n.ID == 404 {
		return nil, nil
	}
	return []order.Sale{{ID: n.ID}}, nil
}

func (s *slowServers) Metas(_ context.Context, ids []int64) ([]stock.Meta, error) {
	s.answer()
	return make([]stock.Meta, len(ids)), nil
}

func (s *slowServers) Announce(context.Context, int64) error { return nil }

func (s *slowServers) Instances(context.Context) ([]fleet.Instance, error) {
	s.answer()
	return nil, nil
}

func (s *slowServers) AnnounceLimits(context.Context, uint64) error { return nil }

// callsPerView is the number of calls for one live view.
const callsPerView = 4

// newSlowAPI returns the API on slow servers, and a function that gets a live view.
func newSlowAPI() (servers *slowServers, look func(ctx context.Context, saleID int) *httptest.ResponseRecorder) {
	servers = &slowServers{}
	h := adminhttp.NewHandler(admin.New(admin.Options{Sales: servers, Names: servers, Ledger: servers, Fleet: servers, Log: slog.New(slog.DiscardHandler)}), fakeTokens{}, nil, slog.New(slog.DiscardHandler))
	return servers, func(ctx context.Context, saleID int) *httptest.ResponseRecorder {
		req := httptest.NewRequestWithContext(ctx, http.MethodGet, adminhttp.Prefix+"live?sale_id="+strconv.Itoa(saleID), http.NoBody)
		req.Header.Set("Authorization", "Bearer victor")
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		return rec
	}
}

func TestFiftyLiveRequestsCallTheServersOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		servers, look := newSlowAPI()
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
		require.EqualValues(t, callsPerView, servers.asked.Load())
		time.Sleep(499 * time.Millisecond)
		crowd(7, http.StatusOK)
		require.EqualValues(t, callsPerView, servers.asked.Load(), "the view is kept")
		crowd(8, http.StatusOK)
		require.EqualValues(t, 2*callsPerView, servers.asked.Load(), "another sale has its own view")
		time.Sleep(time.Millisecond)
		crowd(7, http.StatusOK)
		require.EqualValues(t, 3*callsPerView, servers.asked.Load(), "half a second later it is read again")

		crowd(404, http.StatusNotFound)
		crowd(404, http.StatusNotFound)
		require.EqualValues(t, 3*callsPerView+1, servers.asked.Load(), "a missing sale is not searched for each request either")
	})
}

func TestALiveRequestThatIsCancelledFailsNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, look := newSlowAPI()
		cancelled, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { look(cancelled, 7) })
		synctest.Wait()
		all.Go(func() { require.NotContains(t, look(t.Context(), 7).Body.String(), "away") })
		synctest.Wait()
		cancel()
		all.Wait()
	})
}

func TestTheNumberOfKeptLiveViewsIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		servers, look := newSlowAPI()
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
		require.EqualValues(t, (1000-256)*callsPerView, servers.asked.Load()-before, "256 are kept")
	})
}
