package storetest

import (
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
)

func settleConfirms(t *testing.T, s *suite) {
	sale := s.sale(t, 10, 4)
	o := s.order(t, sale.ID, "Abc")
	o.Slot, o.Quantity, o.Key, o.Reference = 3, 2, math.MaxUint64, `cart-77 '"\`
	v := s.settle(t, o)[o.ID]
	requireVerdict(t, v, order.StatusConfirmed, "")
	require.Equal(t, o, v.Order)
	require.Equal(t, uint64(1), v.Seq)

	r := s.record(t, o.ID)
	require.Equal(t, o, r.Order)
	require.Equal(t, order.StatusConfirmed, r.Status)
	require.Equal(t, sale.PriceMinor, r.UnitPrice)
	require.WithinDuration(t, time.Now(), r.DecidedAt, 5*time.Second)
	require.Equal(t, sale.PayWithin, r.PayBy.Sub(r.DecidedAt))
	require.Equal(t, 8, s.available(t, sale.ID))
	s.check(t, sale)
}

func settleRedelivery(t *testing.T, s *suite) {
	sale := s.sale(t, 10, 1)
	a, b := s.order(t, sale.ID, "a"), s.order(t, sale.ID, "b")
	s.settle(t, a)
	vs := s.settle(t, a, b)
	requireVerdict(t, vs[a.ID], order.StatusConfirmed, "")
	require.Zero(t, vs[a.ID].Seq, "a verdict that was only read")
	require.Equal(t, uint64(2), vs[b.ID].Seq)
	require.Equal(t, 8, s.available(t, sale.ID))

	vs = s.settle(t, a, b)
	require.Len(t, vs, 2)
	require.Equal(t, uint64(2), s.check(t, sale)[sale.ID], "a transaction that decided nothing takes no seq")
}

func settleRepeated(t *testing.T, s *suite) {
	sale := s.sale(t, 10, 1)
	a, b := s.order(t, sale.ID, "a"), s.order(t, sale.ID, "b")
	vs, err := s.store.Settle(t.Context(), []order.Order{b, a, a, b, a})
	require.NoError(t, err)
	require.Len(t, vs, 2, "one verdict for each distinct order")
	require.Equal(t, 8, s.available(t, sale.ID))
	s.check(t, sale)
}

func settleCollision(t *testing.T, s *suite) {
	sale, other := s.sale(t, 10, 1), s.sale(t, 10, 1)
	a := s.order(t, sale.ID, "a")
	collided, abroad, late := a, a, a // other orders under its ID
	collided.ShopperID, abroad.SaleID, late.ShopperID = "b", other.ID, "c"
	vs, err := s.store.Settle(t.Context(), []order.Order{collided, abroad, a})
	require.NoError(t, err)
	require.Len(t, vs, 3)
	more, err := s.store.Settle(t.Context(), []order.Order{late, a})
	require.NoError(t, err)
	require.Len(t, more, 2)
	confirmed := 0
	for _, v := range append(vs, more[0], more[1]) {
		if order.Same(v.Order, a) {
			requireVerdict(t, v, order.StatusConfirmed, "")
			confirmed++
			continue
		}
		requireVerdict(t, v, order.StatusRejected, order.ReasonCollision)
		require.NotZero(t, v.Seq, "logged in its own sale")
	}
	require.Equal(t, 2, confirmed)
	require.Equal(t, 9, s.available(t, sale.ID))
	require.Equal(t, 10, s.available(t, other.ID))

	again, err := s.store.Settle(t.Context(), []order.Order{collided})
	require.NoError(t, err)
	requireVerdict(t, again[0], order.StatusRejected, order.ReasonCollision)
	require.Zero(t, again[0].Seq)
	s.check(t, sale, other)
}

func settleMoves(t *testing.T, s *suite) {
	sale := s.sale(t, 10, 3)
	a, b, c, d := s.order(t, sale.ID, "a"), s.order(t, sale.ID, "a"), s.order(t, sale.ID, "a"), s.order(t, sale.ID, "a")
	a.Key, b.Key, c.Key, d.Key = 1, 2, 3, 4
	a.Slot, c.Slot = 1, 7 // 7: beyond the limit counts as taken
	require.Equal(t, 1, s.settle(t, a)[a.ID].Slot)
	b.Slot = 1
	v := s.settle(t, b)[b.ID]
	requireVerdict(t, v, order.StatusConfirmed, "")
	require.Equal(t, 0, v.Slot, "the lowest free slot")
	require.Equal(t, 2, s.settle(t, c)[c.ID].Slot)
	d.Slot = -1
	requireVerdict(t, s.settle(t, d)[d.ID], order.StatusRejected, order.ReasonPurchaseLimit)
	s.check(t, sale)
}

// An order whose slot does not exist any more gets one before the batch is inserted. An
// order of the batch that asked for that slot moves to another one.
func settleChoosesFirst(t *testing.T, s *suite) {
	sale := s.sale(t, 10, 3)
	ask := func(slot int, key uint64) order.Order {
		o := s.order(t, sale.ID, "ann")
		o.Slot, o.Key = slot, key
		return o
	}
	homeless, zero := ask(-1, 1), ask(0, 2)
	vs := s.settle(t, homeless, zero)
	require.Equal(t, []int{0, 1}, []int{vs[homeless.ID].Slot, vs[zero.ID].Slot}, "the older one, too")

	sale = s.sale(t, 10, 3)
	zero, homeless = ask(0, 1), ask(-1, 2)
	one := ask(1, 3)
	vs = s.settle(t, zero, homeless, one)
	require.Equal(t, []int{0, 2, 1}, []int{vs[zero.ID].Slot, vs[homeless.ID].Slot, vs[one.ID].Slot}, "it gives way to an older one")
}

func settleLimit(t *testing.T, s *suite) {
	sale := s.sale(t, 10, 1)
	a, b, c := s.order(t, sale.ID, "a"), s.order(t, sale.ID, "a"), s.order(t, sale.ID, "A")
	a.Key, b.Key = 1, 2
	vs := s.settle(t, b, a, c)
	requireVerdict(t, vs[a.ID], order.StatusConfirmed, "")
	requireVerdict(t, vs[b.ID], order.StatusRejected, order.ReasonPurchaseLimit)
	requireVerdict(t, vs[c.ID], order.StatusConfirmed, "") // another shopper
	require.Zero(t, s.record(t, b.ID).PayBy)
	s.check(t, sale)
}

func settleKeys(t *testing.T, s *suite) {
	sale := s.sale(t, 20, 4)
	a, b, c, d, e := s.order(t, sale.ID, "a"), s.order(t, sale.ID, "a"), s.order(t, sale.ID, "a"), s.order(t, sale.ID, "a"), s.order(t, sale.ID, "a")
	a.Key, b.Key, c.Key = 7, 7, 8
	b.Slot, c.Slot, d.Slot, e.Slot = 1, 2, 3, 1
	requireVerdict(t, s.settle(t, a)[a.ID], order.StatusConfirmed, "")
	vs := s.settle(t, e, d, c, b)
	requireVerdict(t, vs[b.ID], order.StatusRejected, order.ReasonPurchaseLimit) // the key of a
	requireVerdict(t, vs[c.ID], order.StatusConfirmed, "")
	// No key counts as a key: of two orders without one, one buys.
	requireVerdict(t, vs[d.ID], order.StatusConfirmed, "")
	requireVerdict(t, vs[e.ID], order.StatusRejected, order.ReasonPurchaseLimit)
	require.Equal(t, 17, s.available(t, sale.ID))
	// Another shopper's order under the ID of a does not hide a.
	collided, f := a, s.order(t, sale.ID, "a")
	collided.ShopperID, f.Key, f.Slot = "b", a.Key, 1
	requireVerdict(t, s.settle(t, collided, f)[f.ID], order.StatusRejected, order.ReasonPurchaseLimit)
	s.check(t, sale)
}

// settleRivals requires that of two orders with one key, in different slots, settled at
// the same time, one buys.
func settleRivals(t *testing.T, s *suite) {
	sale := s.sale(t, 100, 2)
	for i := range 30 {
		var both sync.WaitGroup
		var confirmed atomic.Int32
		for slot := range 2 {
			o := s.order(t, sale.ID, "shopper-"+strconv.Itoa(i))
			o.Slot = slot
			both.Go(func() {
				vs, err := s.store.Settle(t.Context(), []order.Order{o})
				if err != nil {
					t.Error(err)
				} else if vs[0].Status == order.StatusConfirmed {
					confirmed.Add(1)
				}
			})
		}
		both.Wait()
		require.EqualValues(t, 1, confirmed.Load())
	}
	s.check(t, sale)
}

func settlePartly(t *testing.T, s *suite) {
	sale := s.sale(t, 7, 1)
	want := []struct{ quantity, left int }{{3, 4}, {5, 4}, {2, 2}, {3, 2}, {2, 0}, {1, 0}}
	var batch []order.Order
	for i, w := range want {
		o := s.order(t, sale.ID, strings.Repeat("s", i+1))
		o.Quantity = w.quantity
		batch = append(batch, o)
	}
	vs := s.settle(t, batch...)
	left := 7
	for i, w := range want {
		v := vs[batch[i].ID]
		if left-w.quantity == w.left {
			requireVerdict(t, v, order.StatusConfirmed, "")
		} else {
			requireVerdict(t, v, order.StatusRejected, order.ReasonSoldOut)
			require.Zero(t, s.record(t, v.ID).PayBy)
		}
		left = w.left
	}
	require.Zero(t, s.available(t, sale.ID))
	// A rejected order holds no slot.
	o := s.order(t, sale.ID, batch[1].ShopperID)
	_, err := s.restock(t.Context(), "restock-"+o.ID.String(), sale.ID, 1)
	require.NoError(t, err)
	requireVerdict(t, s.settle(t, o)[o.ID], order.StatusConfirmed, "")
	requireVerdict(t, s.settle(t, batch[1])[batch[1].ID], order.StatusRejected, order.ReasonSoldOut)
	s.check(t, sale)
}

func settlePoison(t *testing.T, s *suite) {
	sale := s.sale(t, 10, 1)
	var batch []order.Order
	for i := range 8 {
		batch = append(batch, s.order(t, sale.ID, strings.Repeat("s", i+1)))
	}
	batch[0].Quantity = 0
	batch[1].Quantity = -1
	batch[2].Quantity = sale.UnitsPerOrder + 1
	batch[3].SaleID = int64(s.id(t))                // no such sale
	batch[4].Reference = strings.Repeat("r", 65)    // fits no column
	batch[5].ShopperID = strings.Repeat("x", 65)    // not even the tombstone
	batch[6].Quantity, batch[6].Slot = 1<<40, 1<<20 // nor this, but its tombstone does
	batch[7].ShopperID, batch[7].Reference = strings.Repeat("x", 64), strings.Repeat("r", 64)
	vs := s.settle(t, batch...)
	require.Len(t, vs, 8)
	for _, o := range batch[:7] {
		requireVerdict(t, vs[o.ID], order.StatusRejected, order.ReasonPoison)
	}
	requireVerdict(t, vs[batch[7].ID], order.StatusConfirmed, "")
	require.Equal(t, 9, s.available(t, sale.ID))
	require.Zero(t, s.record(t, batch[2].ID).Quantity)

	letters, err := s.store.DeadLetters(t.Context(), order.DeadLetterQuery{SaleID: sale.ID, Limit: 10})
	require.NoError(t, err)
	require.Len(t, letters, 1)
	require.Equal(t, batch[5].ID, letters[0].OrderID)
	again := s.settle(t, batch...)
	require.Len(t, again, 8)
	for id, v := range again {
		requireVerdict(t, v, vs[id].Status, vs[id].Reason)
		require.Zero(t, v.Seq)
	}
	s.check(t, sale)
}

func settleSales(t *testing.T, s *suite) {
	a, b := s.sale(t, 1, 1), s.sale(t, 5, 2)
	var batch []order.Order
	for i := range 6 {
		batch = append(batch, s.order(t, []int64{a.ID, b.ID}[i%2], "shopper-"+string(rune('a'+i))))
	}
	s.settle(t, batch...)
	require.Zero(t, s.available(t, a.ID))
	require.Equal(t, 2, s.available(t, b.ID))
	s.check(t, a, b)
}

func settleNothing(t *testing.T, s *suite) {
	vs, err := s.store.Settle(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, vs)
}

func voidStopsLate(t *testing.T, s *suite) {
	sale := s.sale(t, 10, 1)
	o := s.order(t, sale.ID, "a")
	v := s.void(t, o)
	requireVerdict(t, v, order.StatusRejected, order.ReasonVoid)
	require.Equal(t, uint64(1), v.Seq)
	v = s.void(t, o)
	require.Zero(t, v.Seq)
	late := s.settle(t, o)[o.ID]
	requireVerdict(t, late, order.StatusRejected, order.ReasonVoid)
	require.Equal(t, 10, s.available(t, sale.ID))
	next := s.order(t, sale.ID, "a")
	requireVerdict(t, s.settle(t, next)[next.ID], order.StatusConfirmed, "") // the slot is free
	s.check(t, sale)
}

func voidDecided(t *testing.T, s *suite) {
	sale := s.sale(t, 10, 1)
	o := s.order(t, sale.ID, "a")
	s.settle(t, o)
	v := s.void(t, o)
	requireVerdict(t, v, order.StatusConfirmed, "")
	require.Zero(t, v.Seq)
	unsold := s.order(t, int64(s.id(t)), "a")
	v = s.void(t, unsold)
	requireVerdict(t, v, order.StatusRejected, order.ReasonVoid)
	require.Zero(t, v.Seq, "no sale that could log it")
	s.check(t, sale)
}

func voidCollision(t *testing.T, s *suite) {
	sale := s.sale(t, 10, 1)
	a := s.order(t, sale.ID, "a")
	s.settle(t, a)
	b := a
	b.ShopperID = "b"
	v := s.void(t, b)
	requireVerdict(t, v, order.StatusRejected, order.ReasonCollision)
	require.NotZero(t, v.Seq)
	s.check(t, sale)
}
