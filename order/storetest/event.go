package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
)

const lease = 10 * time.Second

// events reads all events of a sale, in pages of so many orders.
func (s *suite) events(t *testing.T, saleID int64, orders int) (es []order.Event, pages int) {
	t.Helper()
	for seq, more := uint64(0), true; more; pages++ {
		page, through, further, err := s.store.EventPage(t.Context(), saleID, seq, orders)
		require.NoError(t, err)
		require.Equal(t, further || len(page) > 0, through > seq, "a page that goes nowhere is the last")
		es, seq, more = append(es, page...), through, further
	}
	return es, pages
}

func eventsTold(t *testing.T, s *suite) {
	began := time.Now().Add(-2 * time.Second) // the database's clock may be another
	sale := s.sale(t, 4, 1)
	paid, dropped, refused := s.order(t, sale.ID, "a"), s.order(t, sale.ID, "b"), s.order(t, sale.ID, "c")
	paid.Quantity, paid.Key, paid.Reference, dropped.Quantity, refused.Quantity = 2, 7, `cart-"77`, 2, 5
	s.settle(t, paid, dropped, refused)
	s.pay(t, s.payment(t, paid))
	s.cancel(t, dropped.ID)
	ghost := s.order(t, sale.ID, "d")
	s.void(t, ghost)
	_, err := s.restock(t.Context(), s.id(t).String(), sale.ID, 1) // no order's
	require.NoError(t, err)

	es, _ := s.events(t, sale.ID, 1000)
	var told []string
	for i, e := range es {
		told = append(told, fmt.Sprintf("#%d %s %s %s %d x %d %s %s %q", e.Seq, e.ShopperID, e.Status, e.Reason, e.Quantity, e.UnitPrice, e.Currency, e.SKU, e.Reference))
		require.WithinRange(t, e.At, began, time.Now().Add(2*time.Second))
		require.False(t, i > 0 && e.At.Before(es[i-1].At), "in the order of their times")
		require.Equal(t, sale.ID, e.SaleID)
	}
	require.Equal(t, []string{
		`#1 a confirmed  2 x 9900 CNY sku-1 "cart-\"77"`,
		`#1 b confirmed  2 x 9900 CNY sku-1 ""`,
		`#1 c rejected sold_out 5 x 9900 CNY sku-1 ""`,
		`#2 a paid  2 x 9900 CNY sku-1 "cart-\"77"`,
		`#3 b cancelled  2 x 9900 CNY sku-1 ""`,
		`#4 d rejected void 0 x 9900 CNY sku-1 ""`,
	}, told)
	again, _ := s.events(t, sale.ID, 1)
	require.Equal(t, es, again, "the same, whenever they are read and in whatever pages")
}

func eventsPaged(t *testing.T, s *suite) {
	sale := s.sale(t, 1000, 1)
	for i := range 100 {
		batch := make([]order.Order, 3)
		for k := range batch {
			batch[k] = s.order(t, sale.ID, fmt.Sprintf("s%d-%d", i, k))
		}
		s.settle(t, batch...)
	}
	for _, page := range []struct {
		after, through uint64
		orders         int
		more           bool
	}{
		{0, 3, 10, true}, {0, order.EventChanges, 1000, true}, {order.EventChanges, 100, 1000, false}, {97, 99, 6, true}, {97, 100, 9, false}, {100, 100, 9, false},
	} {
		es, through, more, err := s.store.EventPage(t.Context(), sale.ID, page.after, page.orders)
		require.NoError(t, err)
		require.Len(t, es, 3*int(page.through-page.after), "%+v", page)
		require.Equal(t, []any{page.through, page.more}, []any{through, more}, "%+v", page)
	}
	es, pages := s.events(t, sale.ID, 10)
	require.Len(t, es, 300)
	require.True(t, slices.IsSortedFunc(es, func(a, b order.Event) int { return int(a.Seq) - int(b.Seq) }))
	require.GreaterOrEqual(t, pages, 34, "three changes fit")
	_, pages = s.events(t, sale.ID, 1000)
	require.LessOrEqual(t, pages, 3, "a page is bounded by changes, too")
	_, pages = s.events(t, sale.ID, 1)
	require.LessOrEqual(t, pages, 101, "one change at least")
}

func eventsOfCollision(t *testing.T, s *suite) {
	sale := s.sale(t, 10, 1)
	o := s.order(t, sale.ID, "a")
	other := o
	other.ShopperID = "b"
	s.settle(t, o)
	_, err := s.store.Settle(t.Context(), []order.Order{other})
	require.NoError(t, err)
	es, _ := s.events(t, sale.ID, 10)
	require.Len(t, es, 1)
	require.Equal(t, "a", es[0].ShopperID)

	both := s.order(t, sale.ID, "c") // with a collision in one batch, and so in one change
	collided := both
	collided.ShopperID = "d"
	vs, err := s.store.Settle(t.Context(), []order.Order{both, collided})
	require.NoError(t, err)
	require.Equal(t, vs[0].Seq, vs[1].Seq)
	es, _ = s.events(t, sale.ID, 10)
	require.Len(t, es, 2)
	require.Equal(t, []any{"c", order.StatusConfirmed}, []any{es[1].ShopperID, es[1].Status})
}

// behind returns the cursor of a sale with unpublished events.
func (s *suite) behind(t *testing.T, saleID int64, closed bool) (order.EventCursor, bool) {
	t.Helper()
	cs, err := s.store.EventsBehind(t.Context(), closed, 1<<20)
	require.NoError(t, err)
	i := slices.IndexFunc(cs, func(c order.EventCursor) bool { return c.SaleID == saleID })
	if i < 0 {
		return order.EventCursor{}, false
	}
	return cs[i], true
}

func eventsCursor(t *testing.T, s *suite) {
	sale := s.sale(t, 10, 1)
	_, some := s.behind(t, sale.ID, false)
	require.False(t, some, "nothing has happened")
	for i := range 3 {
		s.settle(t, s.order(t, sale.ID, fmt.Sprint("s", i)))
	}
	time.Sleep(20 * time.Millisecond)
	c, _ := s.behind(t, sale.ID, false)
	require.Equal(t, []any{uint64(0), uint64(3), uint64(3), ""}, []any{c.Seq, c.Last, c.Behind(), c.Holder})
	require.GreaterOrEqual(t, c.Age, 20*time.Millisecond)
	require.Less(t, c.Age, time.Minute)

	seq, held, err := s.store.HoldEvents(t.Context(), sale.ID, "p1", lease)
	require.NoError(t, err)
	require.Equal(t, []any{uint64(0), true}, []any{seq, held})
	_, held, err = s.store.HoldEvents(t.Context(), sale.ID, "p2", lease)
	require.NoError(t, err)
	require.False(t, held, "one at a time")
	require.NoError(t, s.store.MoveEvents(t.Context(), sale.ID, "p1", 2, lease))
	c, _ = s.behind(t, sale.ID, false)
	require.Equal(t, []any{uint64(2), uint64(1), "p1"}, []any{c.Seq, c.Behind(), c.Holder})
	seq, held, err = s.store.HoldEvents(t.Context(), sale.ID, "p1", lease)
	require.NoError(t, err)
	require.Equal(t, []any{uint64(2), true}, []any{seq, held})

	require.NoError(t, s.store.MoveEvents(t.Context(), sale.ID, "p2", 1, lease))
	c, _ = s.behind(t, sale.ID, false)
	require.Equal(t, []any{uint64(2), "p1"}, []any{c.Seq, c.Holder}, "a late one moves nothing back and takes nothing over")
	require.NoError(t, s.store.MoveEvents(t.Context(), sale.ID, "p2", 3, lease))
	_, some = s.behind(t, sale.ID, false)
	require.False(t, some)
}

func eventsLease(t *testing.T, s *suite) {
	sale := s.sale(t, 10, 1)
	s.settle(t, s.order(t, sale.ID, "a"))
	hold := func(who string, lease time.Duration) bool {
		_, held, err := s.store.HoldEvents(t.Context(), sale.ID, who, lease)
		require.NoError(t, err)
		return held
	}
	require.True(t, hold("p1", 100*time.Millisecond))
	require.False(t, hold("p2", lease))
	time.Sleep(150 * time.Millisecond)
	c, _ := s.behind(t, sale.ID, false)
	require.Empty(t, c.Holder, "it is over")
	require.True(t, hold("p2", lease))
	require.NoError(t, s.store.ReleaseEvents(t.Context(), sale.ID, "p1"))
	require.False(t, hold("p1", lease), "that was not its own")
	require.NoError(t, s.store.ReleaseEvents(t.Context(), sale.ID, "p2"))
	require.True(t, hold("p1", lease))

	require.True(t, hold("p1", 100*time.Millisecond))
	require.NoError(t, s.store.MoveEvents(t.Context(), sale.ID, "p2", 1, lease))
	time.Sleep(150 * time.Millisecond)
	require.True(t, hold("p2", 100*time.Millisecond), "another process extends no lease")
	require.NoError(t, s.store.MoveEvents(t.Context(), sale.ID, "p2", 1, lease))
	time.Sleep(150 * time.Millisecond)
	require.False(t, hold("p1", lease), "its holder does")
}

func eventsOfClosed(t *testing.T, s *suite) {
	sale := s.sale(t, 10, 1)
	s.settle(t, s.order(t, sale.ID, "a"))
	for _, to := range []order.SaleState{order.SaleEnded, order.SaleClosed} {
		_, open := s.behind(t, sale.ID, false)
		require.True(t, open)
		s.move(t, sale.ID, to)
	}
	_, open := s.behind(t, sale.ID, false)
	require.False(t, open)
	c, closed := s.behind(t, sale.ID, true)
	require.True(t, closed, "what happened before is still to be published")
	require.Equal(t, uint64(3), c.Behind())
}
