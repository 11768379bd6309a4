package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/catalog"
	"seckill/order"
)

// slowCatalog knows one sale, and looks for others until it is let go.
type slowCatalog struct {
	*catalog.Catalog

	asked, letGo chan struct{}
}

func (c *slowCatalog) Known(ctx context.Context, id int64) bool {
	select {
	case c.asked <- struct{}{}:
		<-c.letGo
		return c.Catalog.Known(ctx, id)
	default: // more than should be
		return false
	}
}

func TestFewMayWaitForAnUnknownSale(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	const most = 64
	slow := &slowCatalog{Catalog: s.catalog, asked: make(chan struct{}, most), letGo: make(chan struct{})}
	s.opts.Catalog = slow
	s.reopen(t)
	waiting := make(chan int, most)
	for i := range most {
		go func() {
			rec := httptest.NewRecorder()
			s.h.ServeHTTP(rec, request(http.MethodPost, fmt.Sprintf("/v1/sales/%d/orders", 900+i), "{}", "Authorization", ""))
			waiting <- rec.Code
		}()
	}
	require.Eventually(t, func() bool { return len(slow.asked) == most }, 10*time.Second, time.Millisecond)
	for _, r := range []*http.Request{
		request(http.MethodPost, "/v1/sales/8/orders", "{}", "Authorization", ""),
		request(http.MethodGet, "/v1/sales/8", "", "Authorization", ""),
		request(http.MethodGet, "/v1/orders?sale_id=8", ""),
	} {
		a := s.do(t, r)
		problem(t, a, 503, "overloaded")
		require.NotEmpty(t, a.Header.Get("Retry-After"))
	}
	require.Equal(t, 202, s.buy(t, "{}").StatusCode, "the known ones are sold meanwhile")
	for range most {
		<-slow.asked
	}
	close(slow.letGo)
	for range most {
		require.Equal(t, 404, <-waiting)
	}
	problem(t, s.get(t, "/v1/sales/8"), 404, "not-found")
}

// countedCatalog counts how often a list is built: its time is asked for then.
type countedCatalog struct {
	*catalog.Catalog

	built int
}

func (c *countedCatalog) Now() time.Time { c.built++; return c.Catalog.Now() }

func TestTheListOfSalesIsBuiltOnceASecondOrWhenItChanged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		counted := &countedCatalog{Catalog: s.catalog}
		s.opts.Catalog = counted
		s.reopen(t)
		ask := func() string {
			var text string
			for range 5 {
				text = s.get(t, "/v1/sales", "Authorization", "").text
			}
			return text
		}
		first := ask()
		require.Equal(t, 1, counted.built)
		s.catalog.MarkSoldOut(openSale)
		time.Sleep(999 * time.Millisecond)
		require.Equal(t, first, ask())
		time.Sleep(time.Millisecond)
		require.Contains(t, ask(), `"sold_out"`)
		require.Equal(t, 2, counted.built)
		s.backends.sales = []order.Sale{saleAt(7002)}
		s.refresh(t)
		require.Contains(t, ask(), `"7002"`)
		require.Equal(t, 3, counted.built)
		s.backends.sales = nil
		s.refresh(t)
		require.JSONEq(t, `{"sales":[]}`, ask())
	})
}
