package ordertest

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
	sale, other := s.sale(t, 100, 1), s.sale(t, 100, 1)
	early.SaleID = sale.ID
	want := []order.ID{early.ID}
	s.settle(t, early)
	for i := range 20 {
		o := s.order(t, sale.ID, fmt.Sprint("shopper-", i))
		s.settle(t, o, s.order(t, other.ID, fmt.Sprint("shopper-", i)), s.order(t, sale.ID, o.ShopperID)) // the last over the limit
		want = append(want, o.ID)
	}
	var got []order.ID
	pages := 0
	for after, first := order.ID(0), true; first || after != 0; first = false {
		page, next, err := s.store.LiveOrders(t.Context(), sale.ID, after, 7)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page), 7)
		if next != 0 {
			require.Greater(t, next, after, "it goes on")
		}
		for _, r := range page {
			require.Equal(t, sale.ID, r.SaleID)
			require.True(t, r.Status.Live())
			got = append(got, r.ID)
		}
		after = next
		pages++
	}
	require.True(t, slices.IsSorted(got))
	require.Equal(t, want, got)
	require.GreaterOrEqual(t, pages, 61/7, "rows of others are looked at too, a bounded number a call")
}

func lettersDiscarded(t *testing.T, s *suite) {
	sale := s.sale(t, 10, 1)
	o, foreign := s.order(t, sale.ID, "a"), fmt.Sprint("AC11-", s.id(t))
	collided := o
	collided.ShopperID = "b"
	s.settle(t, o, collided)
	message := order.DeadLetter{MessageID: o.ID.String(), OrderID: o.ID, Reason: "unreadable", Body: []byte{1, 2}}
	require.NoError(t, s.store.Bury(t.Context(), message))
	require.NoError(t, s.store.Bury(t.Context(), order.DeadLetter{MessageID: foreign, Reason: "unreadable"}))

	n, err := s.store.CountLetters(t.Context()) // of other tests too, which run meanwhile
	require.NoError(t, err)
	require.GreaterOrEqual(t, n.Messages, 2)
	require.GreaterOrEqual(t, n.Verdicts, 1)

	found, err := s.store.Letters(t.Context(), o.ID.String())
	require.NoError(t, err)
	require.Len(t, found, 2)
	slices.SortFunc(found, func(a, b order.DeadLetter) int { return len(a.MessageID) - len(b.MessageID) })
	require.True(t, found[0].Verdict())
	require.Equal(t, "b", found[0].ShopperID)
	require.False(t, found[1].Verdict())
	require.Equal(t, []byte{1, 2}, found[1].Body)

	require.ErrorIs(t, s.store.Discard(t.Context(), found[0]), order.ErrConflict, "a verdict stays")
	require.NoError(t, s.store.Discard(t.Context(), found[1]))
	require.ErrorIs(t, s.store.Discard(t.Context(), found[1]), order.ErrNotFound)
	decided, _, err := s.store.Verdicts(t.Context(), []order.Order{collided})
	require.NoError(t, err)
	require.Len(t, decided, 1, "the verdict is still read")

	found, err = s.store.Letters(t.Context(), foreign)
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.NoError(t, s.store.Discard(t.Context(), found[0]))
	for _, name := range []string{foreign, "", "0"} {
		found, err = s.store.Letters(t.Context(), name)
		require.NoError(t, err)
		require.Empty(t, found, name)
	}

	many := []order.Order{s.order(t, sale.ID, "first")}
	for i := range order.MaxLetters + 20 {
		again := many[0]
		again.ShopperID = fmt.Sprint("s", i)
		many = append(many, again)
	}
	s.settle(t, many...)
	message = order.DeadLetter{MessageID: many[0].ID.String(), OrderID: many[0].ID, Reason: "unreadable"}
	require.NoError(t, s.store.Bury(t.Context(), message))
	found, err = s.store.Letters(t.Context(), many[0].ID.String())
	require.NoError(t, err)
	require.Len(t, found, order.MaxLetters)
	require.False(t, found[0].Verdict(), "what can be discarded comes first")
	require.True(t, found[1].Verdict())
}
