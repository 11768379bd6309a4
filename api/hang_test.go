package api_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
)

func TestAStoreThatHangsIsGivenUpAfterFiveSeconds(t *testing.T) {
	t.Parallel()
	poll := func(s *shop, o order.Order) string { return "/v1/orders/" + s.publicID(o) }
	list := func(sale string) func(*shop, order.Order) string {
		return func(*shop, order.Order) string { return "/v1/orders?sale_id=" + sale }
	}
	tests := []struct {
		hangs string
		path  func(*shop, order.Order) string
		age   time.Duration
		sale  int64
		row   bool
		want  int
	}{
		{"lookup", poll, 0, openSale, false, 503},
		{"verdicts", poll, 2 * minute, openSale, false, 503},
		{"sale", poll, 0, closedSale, true, 503},
		{"entries", poll, 0, openSale, true, 200}, // MySQL has it
		{"entries", list("7001"), 0, openSale, false, 503},
		{"byshopper", list("7001"), 0, openSale, false, 503},
		{"sale", list("6000"), 0, openSale, false, 503},
	}
	for _, tt := range tests {
		t.Run(tt.hangs, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				shift := time.Until(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
				s := newShop(t, func(s *shop) { s.backends.now = func() time.Time { return time.Now().Add(shift) } })
				o := order.Order{ID: idAt(s.backends.now().Add(-tt.age)), SaleID: tt.sale, ShopperID: "42", Quantity: 1}
				s.backends.hangs = tt.hangs
				if tt.row {
					s.backends.rows[o.ID] = rowOf(o, order.StatusConfirmed, "")
				}
				began := time.Now()
				a := s.get(t, tt.path(s, o))
				require.LessOrEqual(t, time.Since(began), 5*time.Second)
				require.Contains(t, s.backends.calls(), tt.hangs)
				if tt.want == 503 {
					problem(t, a, 503, "dependency-down")
					require.NotEmpty(t, a.Header.Get("Retry-After"))
					return
				}
				require.Equal(t, tt.want, a.StatusCode, a.text)
			})
		})
	}
}

func TestALookInAHeldPollIsGivenUpAfterFiveSeconds(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, s *shop, o order.Order, _ context.CancelFunc) {
		began := time.Now()
		a := s.held(t.Context(), o, "20s")
		synctest.Wait()
		s.backends.set(func() { s.backends.hangs, s.backends.entries = "lookup", nil })
		require.Contains(t, <-a, `"dependency-down"`)
		require.Equal(t, 6*time.Second, time.Since(began))
	})
}

func TestAHeldPollSearchesEveryFiveSecondsAndNotForAYoungOrder(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, s *shop, o order.Order, _ context.CancelFunc) {
		resolved := 0
		s.opts.Resolver = resolveFunc(func(order.Order) (order.Verdict, bool, error) { resolved++; return order.Verdict{}, false, nil })
		s.reopen(t)
		s.backends.set(func() { s.backends.entries = nil })
		searches := func() (n int) {
			for _, c := range s.backends.calls() {
				if c == "verdicts" {
					n++
				}
			}
			return n
		}
		require.Contains(t, <-s.held(t.Context(), o, "4s"), `"pending"`)
		require.Zero(t, searches(), "it is most likely on its way")
		require.Contains(t, <-s.held(t.Context(), o, "19500ms"), `"pending"`)
		require.Equal(t, 4, searches())
		require.Equal(t, 4, resolved)
		require.Greater(t, len(slices.DeleteFunc(s.backends.calls(), func(c string) bool { return c != "lookup" })), 20, "the row is looked for all the same")
	})
}
