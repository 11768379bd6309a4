package storetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/order"
)

func snapshotPages(t *testing.T, s *suite) {
	sale := s.sale(t, 1300, 1)
	batch := s.orders(t, sale.ID, 1400)
	s.settleAll(t, batch)
	var sizes []int
	_, err := s.store.Snapshot(t.Context(), sale.ID, func(page []order.Record) error {
		sizes = append(sizes, len(page))
		return nil
	}, noReturns)
	require.NoError(t, err)
	require.Equal(t, []int{1000, 300}, sizes)
	s.check(t, sale)

	enough := errors.New("enough")
	_, err = s.store.Snapshot(t.Context(), sale.ID, func([]order.Record) error { return enough }, noReturns)
	require.ErrorIs(t, err, enough)
	_, err = s.store.Snapshot(t.Context(), int64(s.id(t)), func([]order.Record) error { return enough }, noReturns)
	require.ErrorIs(t, err, order.ErrNotFound)
	require.NoError(t, s.store.Ping(t.Context()))
}

// noReturns is for sales of which nothing was returned.
func noReturns([]order.Returns) error { return errors.New("something was returned") }

func tallyAddsUp(t *testing.T, s *suite) {
	sale := s.sale(t, 5, 1)
	a, b, c := s.order(t, sale.ID, "a"), s.order(t, sale.ID, "b"), s.order(t, sale.ID, "c")
	a.Quantity, b.Quantity = 3, 3
	d := a
	d.ShopperID = "d"
	s.settle(t, a, b, c, d)
	tally, err := s.store.Tally(t.Context(), sale.ID)
	require.NoError(t, err)
	require.Equal(t, map[order.Status]int64{order.StatusConfirmed: 2, order.StatusRejected: 1}, tally.Orders)
	require.Equal(t, map[order.Status]int64{order.StatusConfirmed: 4, order.StatusRejected: 3}, tally.Units)
	require.EqualValues(t, 4, tally.LiveUnits)
	require.EqualValues(t, 1, tally.DeadLetters)
	require.Equal(t, 1, tally.Sale.Available)
	_, err = s.store.Tally(t.Context(), int64(s.id(t)))
	require.ErrorIs(t, err, order.ErrNotFound)
}

func shopperPages(t *testing.T, s *suite) {
	sale := s.sale(t, 50, 4)
	var want []order.ID // newest first
	for i := range 5 {
		o := s.order(t, sale.ID, "a")
		o.Slot, o.Key = i, uint64(i)
		s.settle(t, o, s.order(t, sale.ID, fmt.Sprint("other-", i)))
		want = append([]order.ID{o.ID}, want...)
	}
	var got []order.ID
	var before order.ID
	for {
		page, err := s.store.ByShopper(t.Context(), sale.ID, "a", before, 2)
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		for _, r := range page {
			got = append(got, r.ID)
		}
		before = got[len(got)-1]
	}
	require.Equal(t, want, got)
	none, err := s.store.ByShopper(t.Context(), sale.ID, "A", 0, 10)
	require.NoError(t, err)
	require.Empty(t, none, "shoppers differ by case")
}

func verdictsCompare(t *testing.T, s *suite) {
	sale := s.sale(t, 10, 1)
	known, unknown := s.order(t, sale.ID, "a"), s.order(t, sale.ID, "b")
	collided, stranger := known, known
	collided.ShopperID, stranger.ShopperID = "c", "d"
	s.settle(t, known, collided)
	require.NoError(t, s.store.AddDeadLetter(t.Context(), order.DeadLetter{
		MessageID: unknown.ID.String(), OrderID: unknown.ID, SaleID: sale.ID, ShopperID: "b", Reason: "malformed",
	})) // an unreadable message says nothing of its order
	decided, undecided, err := s.store.Verdicts(t.Context(), []order.Order{known, unknown, collided, stranger})
	require.NoError(t, err)
	require.ElementsMatch(t, []order.Order{unknown, stranger}, undecided)
	require.ElementsMatch(t, []order.Verdict{
		{Order: known, Status: order.StatusConfirmed},
		{Order: collided, Status: order.StatusRejected, Reason: order.ReasonCollision},
	}, decided)
	decided, undecided, err = s.store.Verdicts(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, decided)
	require.Empty(t, undecided)
	found, err := s.store.Find(t.Context(), []order.ID{unknown.ID, known.ID, known.ID})
	require.NoError(t, err)
	require.NotEmpty(t, found)
	require.Equal(t, known, found[0].Order)
}

func changesPage(t *testing.T, s *suite) {
	sale := s.sale(t, 10, 1)
	o := s.order(t, sale.ID, "a")
	o.Key, o.Quantity = 77, 2
	s.settle(t, o)
	for range 3 {
		_, err := s.restock(t.Context(), s.id(t).String(), sale.ID, 1)
		require.NoError(t, err)
	}
	cs, err := s.store.Changes(t.Context(), sale.ID, 0, 1)
	require.NoError(t, err)
	require.Equal(t, []order.Change{{
		SaleID: sale.ID, Seq: 1,
		Verdicts: []order.Verdict{{Order: o, Status: order.StatusConfirmed, Seq: 1}},
	}}, cs)
	cs, err = s.store.Changes(t.Context(), sale.ID, 2, 10)
	require.NoError(t, err)
	require.Len(t, cs, 2)
	require.Equal(t, uint64(3), cs[0].Seq)
	cs, err = s.store.Changes(t.Context(), sale.ID, 4, 10)
	require.NoError(t, err)
	require.Empty(t, cs)
}

func deadLettersAdded(t *testing.T, s *suite) {
	saleID := int64(s.id(t))
	letter := order.DeadLetter{
		MessageID: "AC1100\xff", SaleID: saleID, ShopperID: "a\xc3", Reason: "malformed",
		Detail: strings.Repeat("d", 1000), Body: []byte("\x00\x01{not utf8 \xff'"),
	}
	other := letter
	other.MessageID, other.Body = "other", nil
	for range 2 {
		require.NoError(t, s.store.AddDeadLetter(t.Context(), letter))
		require.NoError(t, s.store.AddDeadLetter(t.Context(), other))
	}
	letters, err := s.store.DeadLetters(t.Context(), order.DeadLetterQuery{SaleID: saleID, Limit: 10})
	require.NoError(t, err)
	require.Len(t, letters, 2)
	for _, got := range letters {
		require.NotZero(t, got.CreatedAt)
		if got.MessageID == "other" {
			require.Empty(t, got.Body)
			continue
		}
		got.CreatedAt = letter.CreatedAt
		require.Equal(t, letter.Fitted(), got)
		require.Len(t, got.Detail, 512)
	}
	newest, err := s.store.DeadLetters(t.Context(), order.DeadLetterQuery{Limit: 1})
	require.NoError(t, err)
	require.Len(t, newest, 1)
	var paged []order.DeadLetter
	q := order.DeadLetterQuery{SaleID: saleID, Limit: 1}
	for page := letters[:1]; len(page) > 0; q.After = page[0].Cursor() {
		require.LessOrEqual(t, len(paged), 2, "pages end")
		page, err = s.store.DeadLetters(t.Context(), q)
		require.NoError(t, err)
		if paged = append(paged, page...); len(page) == 0 {
			break
		}
	}
	require.Equal(t, letters, paged, "also those of the same millisecond")
}
