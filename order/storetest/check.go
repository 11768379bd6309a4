package storetest

import (
	"cmp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/order"
)

// replayed is a sale as replayed from its log.
type replayed struct {
	sale       order.Sale // total, available, state and seq
	orders     map[order.ID]order.Verdict
	collisions int
	returned   map[string]int // by shopper: the highest count that the log tells
}

// check replays the log of each sale, from the sale that CreateSale returned, and
// compares the result with the tables. It returns the sales' last seqs.
func (s *suite) check(t *testing.T, sales ...order.Sale) map[int64]uint64 {
	t.Helper()
	seqs := make(map[int64]uint64)
	for _, sale := range sales {
		r := s.replay(t, sale)
		s.compareSale(t, r)
		s.compareOrders(t, r)
		seqs[sale.ID] = r.sale.Seq
	}
	return seqs
}

func (s *suite) replay(t *testing.T, sale order.Sale) replayed {
	t.Helper()
	r := replayed{sale: sale, orders: make(map[order.ID]order.Verdict), returned: make(map[string]int)}
	for {
		cs, err := s.store.Changes(t.Context(), sale.ID, r.sale.Seq, 100)
		require.NoError(t, err)
		if len(cs) == 0 {
			return r
		}
		for _, c := range cs {
			require.Equal(t, r.sale.Seq+1, c.Seq, "the log is gapless")
			require.True(t, c.Sale != nil || c.Refund != nil || len(c.Verdicts) > 0, "change %d is empty", c.Seq)
			r.apply(t, c)
		}
	}
}

func (r *replayed) apply(t *testing.T, c order.Change) {
	t.Helper()
	r.sale.Seq = c.Seq
	if e := c.Sale; e != nil {
		r.sale.Total += e.Units
		r.sale.Available += e.Units
		r.sale.State = e.State
	}
	for _, v := range c.Verdicts {
		require.Equal(t, c.Seq, v.Seq)
		if v.Reason == order.ReasonCollision {
			r.collisions++
			continue
		}
		was := r.orders[v.ID].Status
		switch {
		case v.Status == order.StatusConfirmed && was == "":
			r.sale.Available -= v.Quantity
		case v.Status == order.StatusRejected && was == "":
		case v.Status == order.StatusPaid && was == order.StatusConfirmed:
		case v.Status == order.StatusCancelled && was == order.StatusConfirmed:
			r.sale.Available += v.Quantity
		default:
			require.Failf(t, "no such transition", "change %d: order %d %q -> %q", c.Seq, v.ID, was, v.Status)
		}
		r.orders[v.ID] = v
		require.Equal(t, v.Reason == order.ReasonAttemptsUsed, v.Status == order.StatusRejected && v.Returned > 0)
		switch {
		case v.Returned > 0 && v.Status == order.StatusCancelled:
			require.Equal(t, r.returned[v.ShopperID]+1, v.Returned, "returned with order %d", v.ID)
			r.returned[v.ShopperID] = v.Returned
		case v.Returned > 0:
			require.Equal(t, r.returned[v.ShopperID], v.Returned, "order %d", v.ID)
		case v.Status == order.StatusConfirmed && r.sale.AttemptsPerShopper > 0:
			require.Less(t, r.returned[v.ShopperID], r.sale.AttemptsPerShopper, "order %d is confirmed", v.ID)
		}
	}
	require.GreaterOrEqual(t, r.sale.Available, 0, "oversold at change %d", c.Seq)
}

// compareSale requires that the sale's row equals the replayed one, and that the units
// that are not available are those of live orders.
func (s *suite) compareSale(t *testing.T, r replayed) {
	t.Helper()
	tally, err := s.store.Tally(t.Context(), r.sale.ID)
	require.NoError(t, err)
	require.Equal(t, r.sale.Seq, tally.Sale.Seq)
	require.Equal(t, r.sale.State, tally.Sale.State)
	require.Equal(t, r.sale.Total, tally.Sale.Total)
	require.Equal(t, r.sale.Available, tally.Sale.Available)
	require.EqualValues(t, tally.Sale.Total-tally.Sale.Available, tally.LiveUnits)
	var rows int64
	for _, n := range tally.Orders {
		rows += n
	}
	require.EqualValues(t, len(r.orders), rows, "every row is in the log")

	letters, err := s.store.DeadLetters(t.Context(), order.DeadLetterQuery{SaleID: r.sale.ID, Limit: 100_000})
	require.NoError(t, err)
	require.Len(t, letters, int(tally.DeadLetters))
	letters = slices.DeleteFunc(letters, func(d order.DeadLetter) bool { return d.Reason != string(order.ReasonCollision) })
	require.Len(t, letters, r.collisions)
}

// compareOrders requires that each row equals the replayed one, that the live ones are
// those of the snapshot, and that no shopper has more of them than the sale allows.
func (s *suite) compareOrders(t *testing.T, r replayed) {
	t.Helper()
	ids := make([]order.ID, 0, len(r.orders))
	for id := range r.orders {
		ids = append(ids, id)
	}
	var live []order.ID
	type seat struct {
		shopper string
		slot    int
	}
	type purchase struct {
		shopper string
		key     uint64
	}
	seats, purchases := map[seat]bool{}, map[purchase]bool{}
	for ids := range slices.Chunk(ids, 500) {
		found, err := s.store.Find(t.Context(), ids)
		require.NoError(t, err)
		require.Len(t, found, len(ids))
		for _, row := range found {
			want := r.orders[row.ID]
			want.Seq, want.Returned, want.Reference = 0, 0, row.Reference // only in the log, and not in it
			require.Equal(t, want, row.Verdict())
			if !row.Status.Live() {
				continue
			}
			live = append(live, row.ID)
			require.Less(t, row.Slot, r.sale.OrdersPerShopper)
			require.False(t, seats[seat{row.ShopperID, row.Slot}], "two live orders in one slot: %d", row.ID)
			require.False(t, purchases[purchase{row.ShopperID, row.Key}], "one key bought twice: %d", row.ID)
			seats[seat{row.ShopperID, row.Slot}], purchases[purchase{row.ShopperID, row.Key}] = true, true
		}
	}
	slices.Sort(live)
	var snapped []order.ID
	sale, err := s.store.Snapshot(t.Context(), r.sale.ID, func(page []order.Record) error {
		require.LessOrEqual(t, len(page), 1000)
		require.True(t, slices.IsSortedFunc(page, func(a, b order.Record) int { return cmp.Compare(a.ID, b.ID) }))
		for _, row := range page {
			snapped = append(snapped, row.ID)
		}
		return nil
	}, func(page []order.Returns) error {
		require.LessOrEqual(t, len(page), 1000)
		for _, back := range page {
			require.Equal(t, r.returned[back.ShopperID], back.Orders, "returned by %s", back.ShopperID)
			require.NotZero(t, back.At)
			delete(r.returned, back.ShopperID)
		}
		return nil
	})
	require.NoError(t, err)
	require.Empty(t, r.returned, "returned according to the log alone")
	require.Equal(t, r.sale.Seq, sale.Seq)
	require.Equal(t, live, snapped)
}
