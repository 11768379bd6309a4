package storetest

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
)

func salesCreated(t *testing.T, s *suite) {
	draft := s.draft(t, 10, 2)
	made, err := s.store.CreateSale(t.Context(), draft)
	require.NoError(t, err)
	require.Equal(t, draft.AsCreated(), made)
	read := s.read(t, draft.ID)
	require.Equal(t, made, read)

	again := draft // the shop's retry: another ID, the same external one
	again.ID = int64(s.id(t))
	made, err = s.store.CreateSale(t.Context(), again)
	require.NoError(t, err)
	require.Equal(t, draft.ID, made.ID)
	again.PriceMinor++
	made, err = s.store.CreateSale(t.Context(), again)
	require.ErrorIs(t, err, order.ErrConflict)
	require.Equal(t, draft.ID, made.ID)
	more := draft
	more.Total++
	_, err = s.store.CreateSale(t.Context(), more)
	require.ErrorIs(t, err, order.ErrConflict)

	for range 2 { // without an external ID the ID is the name
		anonymous := draft
		anonymous.ID, anonymous.ExternalID = int64(s.id(t)), ""
		for range 2 {
			made, err = s.store.CreateSale(t.Context(), anonymous)
			require.NoError(t, err)
			require.Equal(t, anonymous.ID, made.ID)
		}
	}
	_, err = s.store.Sale(t.Context(), int64(s.id(t)))
	require.ErrorIs(t, err, order.ErrNotFound)
}

func salesGates(t *testing.T, s *suite) {
	draft := s.draft(t, 10, 1)
	draft.RequirePermit, draft.RequireClaim = true, "https://shop.example/tier="+strings.Repeat("v", 64)
	made, err := s.store.CreateSale(t.Context(), draft)
	require.NoError(t, err)
	require.Equal(t, draft.AsCreated(), made)
	read := s.read(t, draft.ID)
	require.Equal(t, made, read)
	listed, err := s.store.Sales(t.Context())
	require.NoError(t, err)
	require.Contains(t, listed, made)
	for _, change := range []func(*order.Sale){
		func(s *order.Sale) { s.RequirePermit = false },
		func(s *order.Sale) { s.RequireClaim = "" },
	} {
		other := draft
		change(&other)
		_, err = s.store.CreateSale(t.Context(), other)
		require.ErrorIs(t, err, order.ErrConflict, "they are terms of the sale")
	}
}

func salesInvalid(t *testing.T, s *suite) {
	draft := s.draft(t, 10, 17)
	_, err := s.store.CreateSale(t.Context(), draft)
	var field *order.FieldError
	require.ErrorAs(t, err, &field)
	require.Equal(t, "orders_per_shopper", field.Field)
}

func salesMove(t *testing.T, s *suite) {
	sale := s.sale(t, 10, 1)
	for i, step := range []struct {
		to    order.SaleState
		legal bool
		seq   uint64
	}{
		{order.SalePaused, false, 0},
		{order.SaleOpen, true, 1},
		{order.SaleOpen, true, 1}, // there already
		{order.SalePaused, true, 2},
		{order.SaleOpen, true, 3},
		{order.SaleClosed, false, 3},
		{order.SaleEnded, true, 4},
		{order.SaleOpen, false, 4},
		{order.SaleClosed, true, 5},
	} {
		moved, err := s.store.SetSaleState(t.Context(), s.id(t).String(), sale.ID, step.to)
		if step.legal {
			require.NoError(t, err, "step %d", i)
			require.Equal(t, step.to, moved.State)
			require.Equal(t, step.seq, moved.Seq)
		} else {
			require.ErrorIs(t, err, order.ErrConflict, "step %d", i)
		}
	}
	require.Equal(t, uint64(5), s.check(t, sale)[sale.ID])
	cs, err := s.store.Changes(t.Context(), sale.ID, 0, 1)
	require.NoError(t, err)
	require.Equal(t, &order.SaleEffect{State: order.SaleOpen, StartsAt: sale.StartsAt, EndsAt: sale.EndsAt}, cs[0].Sale)

	_, err = s.store.SetSaleState(t.Context(), "nobody", int64(s.id(t)), order.SaleOpen)
	require.ErrorIs(t, err, order.ErrNotFound)
}

func salesCommands(t *testing.T, s *suite) {
	sale := s.sale(t, 10, 1)
	cmd, pause, noop := s.id(t).String(), s.id(t).String(), s.id(t).String()
	set := func(cmd string, to order.SaleState) (order.Sale, error) {
		return s.store.SetSaleState(t.Context(), cmd, sale.ID, to)
	}
	_, err := set(cmd, order.SaleOpen)
	require.NoError(t, err)
	_, err = set(noop, order.SaleOpen)
	require.NoError(t, err)
	_, err = set(pause, order.SalePaused)
	require.NoError(t, err)
	for _, old := range []string{cmd, noop} { // run again, after an unknown outcome
		now, err := set(old, order.SaleOpen)
		require.NoError(t, err)
		require.Equal(t, order.SalePaused, now.State, "an old command does nothing")
	}
	_, err = set(cmd, order.SaleEnded)
	require.ErrorIs(t, err, order.ErrConflict, "a name stands for one command")
	_, err = set("", order.SaleEnded)
	require.ErrorIs(t, err, order.ErrInvalid)
	require.Equal(t, uint64(2), s.check(t, sale)[sale.ID])
}

func salesRestock(t *testing.T, s *suite) {
	sale := s.sale(t, 10, 1)
	o := s.order(t, sale.ID, "a")
	o.Quantity = 4
	s.settle(t, o)
	cmd := s.id(t).String()
	for range 3 {
		now, err := s.restock(t.Context(), cmd, sale.ID, 5)
		require.NoError(t, err)
		require.Equal(t, []int{15, 11}, []int{now.Total, now.Available})
	}
	_, err := s.restock(t.Context(), s.id(t).String(), sale.ID, -12)
	require.ErrorIs(t, err, order.ErrConflict, "4 are sold")
	_, err = s.restock(t.Context(), s.id(t).String(), sale.ID, 1_000_000_000)
	require.ErrorIs(t, err, order.ErrConflict)
	now, err := s.restock(t.Context(), s.id(t).String(), sale.ID, -11)
	require.NoError(t, err)
	require.Equal(t, []int{4, 0}, []int{now.Total, now.Available})
	require.Equal(t, uint64(3), s.check(t, sale)[sale.ID])

	s.move(t, sale.ID, order.SaleEnded)
	_, err = s.restock(t.Context(), s.id(t).String(), sale.ID, 1)
	require.ErrorIs(t, err, order.ErrConflict)
}

func salesListed(t *testing.T, s *suite) {
	a, b := s.sale(t, 10, 1), s.sale(t, 10, 1)
	listed := func() (ids []int64) {
		sales, err := s.store.Sales(t.Context())
		require.NoError(t, err)
		for _, sale := range sales {
			if sale.ID == a.ID || sale.ID == b.ID {
				ids = append(ids, sale.ID)
			}
		}
		return ids
	}
	require.Equal(t, []int64{b.ID, a.ID}, listed())
	for _, to := range []order.SaleState{order.SaleEnded, order.SaleClosed} {
		require.Contains(t, listed(), a.ID)
		s.move(t, a.ID, to)
	}
	require.Equal(t, []int64{b.ID}, listed())

	s.move(t, b.ID, order.SaleEnded, order.SaleClosed)
	closed, err := s.store.ClosedSales(t.Context(), b.ID+1, 1)
	require.NoError(t, err)
	require.Equal(t, []int64{b.ID}, closed)
	closed, err = s.store.ClosedSales(t.Context(), b.ID, 1000)
	require.NoError(t, err)
	require.Contains(t, closed, a.ID)
	require.NotContains(t, closed, b.ID)
	closed, err = s.store.ClosedSales(t.Context(), 0, 1000)
	require.NoError(t, err)
	require.Contains(t, closed, a.ID)
	require.Contains(t, closed, b.ID)
}

// FullList is a test for a store of its own, since a full list has no place for the
// sales of others.
func FullList(t *testing.T, store Store) {
	t.Helper()
	s := &suite{store: store, ids: order.NewIDMaker(rand.Int64N(1 << 13))}
	create := func(startsIn time.Duration, to ...order.SaleState) int64 {
		draft := s.draft(t, 1, 1)
		draft.StartsAt, draft.EndsAt = time.Now().Add(startsIn), time.Now().Add(startsIn+time.Hour)
		sale, err := store.CreateSale(t.Context(), draft)
		require.NoError(t, err)
		s.move(t, sale.ID, to...)
		return sale.ID
	}
	var wanted, far []int64
	for range 10 {
		wanted = append(wanted, create(0, order.SaleOpen), create(0, order.SaleEnded), create(30*time.Minute))
	}
	for range order.MaxSales { // what is made later would push out what was made first
		far = append(far, create(2*time.Hour))
	}
	sales, err := store.Sales(t.Context())
	require.NoError(t, err)
	listed := make([]int64, 0, len(sales))
	for _, sale := range sales {
		listed = append(listed, sale.ID)
	}
	want := slices.Concat(wanted, far[len(wanted):])
	slices.Reverse(want)
	require.Equal(t, want, listed, "newest first, without the oldest of those that start in two hours")
}

func epochRises(t *testing.T, s *suite) {
	sale := s.sale(t, 10, 1)
	for want := range uint64(3) {
		epoch, err := s.store.RaiseEpoch(t.Context(), sale.ID)
		require.NoError(t, err)
		require.Equal(t, want+1, epoch)
	}
	read := s.read(t, sale.ID)
	require.Equal(t, uint64(3), read.Epoch)
	require.Zero(t, read.Seq)
	_, err := s.store.RaiseEpoch(t.Context(), int64(s.id(t)))
	require.ErrorIs(t, err, order.ErrNotFound)
}

func nodeIDsUnique(t *testing.T, s *suite) {
	var taken []int64
	for range 5 {
		n, err := s.store.NextNodeID(t.Context())
		require.NoError(t, err)
		taken = append(taken, n)
	}
	require.True(t, slices.IsSorted(taken))
	require.Len(t, slices.Compact(taken), 5)
	last, err := s.store.LastNodeID(t.Context())
	require.NoError(t, err)
	require.GreaterOrEqual(t, last, taken[4])
	require.NoError(t, s.store.Ping(t.Context()))
}
