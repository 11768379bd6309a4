package model_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/testenv"
	"seckill/order"
	"seckill/order/memory"
)

// The in-memory store stands for MySQL: one suite holds both to the
// same (order/storetest).
func TestTheStoreDoesWhatTheModelSays(t *testing.T) {
	t.Parallel()
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 2))
		asks := [][]ask{retries, twoKeys, keyAgain, noneAgain, large, sameKey, collide}[seed%7]
		c := variant(config{asks: asks, total: 2, limit: 1 + uint8(r.IntN(2)), attempts: uint8(r.IntN(4))})
		store, orders := newStore(t, &c)
		var s state
		d := &s.db
		d.total, d.avail = c.total, c.total
		for d.seq < maxLog-1 {
			both(t, r, &c, &s, store, orders)
			sale, err := store.Sale(t.Context(), orders[0].SaleID)
			require.NoError(t, err)
			require.Equal(t, []int{int(d.avail), int(d.seq)}, []int{sale.Available, int(sale.Seq) - 1}, "seed %d: available, seq", seed)
			var back perShopper
			_, err = store.Snapshot(t.Context(), sale.ID, func([]order.Record) error { return nil }, func(rs []order.Returns) error {
				for _, r := range rs {
					back[r.ShopperID[0]-'a'] = uint8(r.Orders)
				}
				return nil
			})
			require.NoError(t, err)
			if c.attempts > 0 {
				require.Equal(t, d.back, back, "seed %d: returned", seed)
			}
			decided, _, err := store.Verdicts(t.Context(), orders)
			require.NoError(t, err)
			got := map[order.Order]order.Verdict{}
			for _, v := range decided {
				got[order.Order{ID: v.ID, ShopperID: v.ShopperID}] = v
			}
			for i, o := range orders {
				v := got[order.Order{ID: o.ID, ShopperID: o.ShopperID}]
				require.Equal(t, statuses[d.row[i]], v.Status, "seed %d: order %d", seed, i)
				if live(d.row[i]) {
					require.EqualValues(t, d.slot[i], v.Slot, "seed %d: slot of order %d", seed, i)
				}
			}
			if r.IntN(8) == 0 {
				break
			}
		}
	}
}

func newStore(t *testing.T, c *config) (*memory.Store, []order.Order) {
	t.Helper()
	store, id := memory.NewStore(), testenv.SaleID()
	_, err := store.CreateSale(t.Context(), order.Sale{
		ID: id, Title: "t", Currency: "CNY", Total: int(c.total), OrdersPerShopper: int(c.limit), UnitsPerOrder: 2, AttemptsPerShopper: int(c.attempts),
		StartsAt: time.Now().Add(-time.Hour), EndsAt: time.Now().Add(time.Hour), PayWithin: time.Minute,
	})
	require.NoError(t, err)
	_, err = store.SetSaleState(t.Context(), "open", id, order.SaleOpen) // change 1
	require.NoError(t, err)
	ids := order.NewIDMaker(1)
	orders := make([]order.Order, len(c.asks))
	for i, a := range c.asks {
		o := order.Order{SaleID: id, ShopperID: string('a' + rune(a.shopper)), Quantity: int(a.units), Key: uint64(a.key)}
		o.ID, err = ids.Next()
		require.NoError(t, err)
		if i > 0 && c.sameID(i-1, i) {
			o.ID = orders[i-1].ID
		}
		orders[i] = o
	}
	return store, orders
}

// both lets the model and the store do the same: a batch of one or two, a
// void or a cancellation.
func both(t *testing.T, r *rand.Rand, c *config, s *state, store *memory.Store, orders []order.Order) {
	t.Helper()
	d, i := &s.db, r.IntN(len(orders))
	switch what := r.IntN(6); {
	case what == 0:
		c.void(d, i)
		_, err := store.Void(t.Context(), orders[i])
		require.NoError(t, err)
	case what == 1 && d.row[i] == confirmed:
		var by order.Operator
		if r.IntN(3) == 0 {
			by = order.Operator{Name: "eve", Role: "operator"}
		}
		c.cancel(s, i, !by.IsZero())
		_, err := store.CancelAs(t.Context(), by, "cmd", orders[i].ID)
		require.NoError(t, err)
	default:
		batch := []int{i}
		if i+1 < len(orders) && r.IntN(2) == 0 {
			batch = append(batch, i+1)
		}
		var slots perOrder
		var os []order.Order
		for _, i := range batch {
			o := orders[i]
			o.Slot = r.IntN(int(c.limit))
			if len(batch) == 1 { // in a batch the in-memory store places one without a slot last, MySQL in ID order
				o.Slot = r.IntN(int(c.limit)+1) - 1
			}
			slots[i] = uint8(o.Slot)
			if o.Slot < 0 {
				slots[i] = noSlot
			}
			os = append(os, o)
		}
		c.settle(d, slots, batch...)
		_, err := store.Settle(t.Context(), os)
		require.NoError(t, err)
	}
}
