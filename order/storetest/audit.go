package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
)

func livePages(t *testing.T, s *suite) {
	early := s.order(t, 0, "made by a clock that is behind")
	early.ID -= order.ID(time.Hour.Milliseconds()) << 22
	early.ShopperID = "early"
	sale, other := s.sale(t, 100, 2), s.sale(t, 100, 2)
	early.SaleID = sale.ID
	want := []order.ID{early.ID}
	s.settle(t, early)
	for i := range 8 {
		shopper := fmt.Sprint("shopper-", i)
		for range i % 3 { // dead ones in the slot of a live one
			gone := s.order(t, sale.ID, shopper)
			s.settle(t, gone)
			s.cancel(t, gone.ID)
		}
		first, second := s.order(t, sale.ID, shopper), s.order(t, sale.ID, shopper)
		second.Slot, second.Key = 1, 1
		s.settle(t, second, s.order(t, other.ID, shopper))
		s.settle(t, first, s.order(t, sale.ID, shopper)) // the last over the limit
		want = append(want, first.ID, second.ID)
	}
	for _, limit := range []int{1, 2, 3, 7, 1000} {
		var got []order.ID
		calls := 0
		for after, first := (order.SlotCursor{}), true; first || after != (order.SlotCursor{}); first = false {
			page, next, err := s.store.LiveOrders(t.Context(), sale.ID, after, limit)
			require.NoError(t, err)
			require.LessOrEqual(t, len(page), limit)
			for _, r := range page {
				require.Equal(t, sale.ID, r.SaleID)
				require.True(t, r.Status.Live())
				got = append(got, r.ID)
			}
			after = next
			calls++
			require.LessOrEqual(t, calls, 100, "it comes to an end")
		}
		require.Equal(t, want, got, "by shopper and slot, %d at a time", limit)
		require.GreaterOrEqual(t, calls, len(want)/limit, "a bounded number of rows a call")
	}
}

func deadLettersDiscarded(t *testing.T, s *suite) {
	sale := s.sale(t, 10, 1)
	o, foreign := s.order(t, sale.ID, "a"), fmt.Sprint("AC11-", s.id(t))
	collided := o
	collided.ShopperID = "b"
	s.settle(t, o, collided)
	message := order.DeadLetter{MessageID: o.ID.String(), OrderID: o.ID, Reason: "unreadable", Body: []byte{1, 2}}
	require.NoError(t, s.store.AddDeadLetter(t.Context(), message))
	require.NoError(t, s.store.AddDeadLetter(t.Context(), order.DeadLetter{MessageID: foreign, Reason: "unreadable"}))

	n, err := s.store.CountDeadLetters(t.Context()) // of other tests too, which run meanwhile
	require.NoError(t, err)
	require.GreaterOrEqual(t, n.Messages, 2)
	require.GreaterOrEqual(t, n.Verdicts, 1)

	found, err := s.store.DeadLettersNamed(t.Context(), o.ID.String())
	require.NoError(t, err)
	require.Len(t, found, 2)
	slices.SortFunc(found, func(a, b order.DeadLetter) int { return len(a.MessageID) - len(b.MessageID) })
	require.True(t, found[0].IsVerdict())
	require.Equal(t, "b", found[0].ShopperID)
	require.False(t, found[1].IsVerdict())
	require.Equal(t, []byte{1, 2}, found[1].Body)

	require.ErrorIs(t, s.store.DiscardAs(t.Context(), order.Operator{}, "", found[0]), order.ErrConflict, "a verdict stays")
	require.NoError(t, s.store.DiscardAs(t.Context(), order.Operator{}, "", found[1]))
	require.ErrorIs(t, s.store.DiscardAs(t.Context(), order.Operator{}, "", found[1]), order.ErrNotFound)
	decided, _, err := s.store.Verdicts(t.Context(), []order.Order{collided})
	require.NoError(t, err)
	require.Len(t, decided, 1, "the verdict is still read")

	numeric := s.id(t).String() // a message ID that only looks like an order's
	require.NoError(t, s.store.AddDeadLetter(t.Context(), order.DeadLetter{MessageID: numeric, Reason: "unreadable"}))
	found, err = s.store.DeadLettersNamed(t.Context(), numeric)
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Zero(t, found[0].OrderID)

	found, err = s.store.DeadLettersNamed(t.Context(), foreign)
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.NoError(t, s.store.DiscardAs(t.Context(), order.Operator{}, "", found[0]))
	for _, name := range []string{foreign, "", "0"} {
		found, err = s.store.DeadLettersNamed(t.Context(), name)
		require.NoError(t, err)
		require.Empty(t, found, name)
	}

	many := []order.Order{s.order(t, sale.ID, "first")}
	for i := range order.MaxDeadLetters + 20 {
		again := many[0]
		again.ShopperID = fmt.Sprint("s", i)
		many = append(many, again)
	}
	s.settle(t, many...)
	message = order.DeadLetter{MessageID: many[0].ID.String(), OrderID: many[0].ID, Reason: "unreadable"}
	require.NoError(t, s.store.AddDeadLetter(t.Context(), message))
	found, err = s.store.DeadLettersNamed(t.Context(), many[0].ID.String())
	require.NoError(t, err)
	require.Len(t, found, order.MaxDeadLetters)
	require.False(t, found[0].IsVerdict(), "what can be discarded comes first")
	require.True(t, found[1].IsVerdict())
}
