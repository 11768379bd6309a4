package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
	"seckill/stock"
)

// An API that died between reservation and send left an order that nobody
// settles before its lease ends, unless its shopper asks again.
func TestAPendingOrderThatIsAskedForAgainGoesToTheSweeperOnce(t *testing.T) {
	t.Parallel()
	quiet, busy := func() bool { return true }, func() bool { return false }
	tests := []struct {
		name  string
		age   time.Duration
		state stock.EntryState
		quiet func() bool
		want  int // calls of Urgent in two requests
	}{
		{"never sent", 3 * time.Second, stock.EntryPending, quiet, 1},
		{"on its way", time.Second, stock.EntryPending, quiet, 0},
		{"due anyway", time.Minute, stock.EntryPending, quiet, 0},
		{"in a backlog", 3 * time.Second, stock.EntryPending, busy, 0},
		{"nobody knows the backlog", 3 * time.Second, stock.EntryPending, nil, 0},
		{"decided", 3 * time.Second, stock.EntrySettled, quiet, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := mine(tt.age)
			s := newShop(t, func(s *shop) {
				s.opts.Quiet = tt.quiet
				s.backends.rows[o.ID] = rowOf(o, order.StatusConfirmed, "")
				s.backends.reserve = func(stock.Purchase) (stock.Reservation, error) {
					return stock.Reservation{Err: stock.ErrReplay, Entry: &stock.Entry{Order: o, State: tt.state}}, nil
				}
			})
			for range 2 {
				require.Equal(t, http.StatusAccepted, s.buy(t, `{"quantity":2,"reference":"cart"}`).StatusCode)
			}
			urgent := 0
			for _, call := range s.backends.calls() {
				if call == "urgent" {
					urgent++
				}
			}
			require.Equal(t, tt.want, urgent)
			require.NotContains(t, s.logs.String(), "not expedited")
		})
	}
}
