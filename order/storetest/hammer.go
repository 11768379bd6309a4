package storetest

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
)

// settlersAgree lets four goroutines settle overlapping batches.
func settlersAgree(t *testing.T, s *suite) {
	Hammer(t, s.store, Options{Rounds: 60, Limit: 2 * time.Second, Calm: func() {}})
}

// Options are the length of Hammer.
type Options struct {
	Rounds int           // batches of each goroutine
	Limit  time.Duration // the end if that takes longer
	Calm   func()        // ends the faults, before the tables are read
}

// Hammer settles repeated and overlapping batches from four goroutines, of shoppers who
// order again and again, while another goroutine voids and restocks. It fails unless each
// order always has the same verdict, and the replayed log equals the tables. Faults may be
// injected below the store.
func Hammer(t *testing.T, store Store, opts Options) {
	t.Helper()
	s := &suite{store: store, ids: order.NewIDMaker(rand.Int64N(1 << 13))}
	one, three := s.sale(t, 150, 1), s.sale(t, 150, 3)
	h := &hammer{
		suite: s, sales: []int64{one.ID, three.ID, one.ID, three.ID, int64(s.id(t))},
		told: make(map[order.Order]string),
	}
	until := time.Now().Add(opts.Limit)
	var settlers, others sync.WaitGroup
	for range 4 {
		settlers.Go(func() {
			for n := 0; n < opts.Rounds && time.Now().Before(until) && !t.Failed(); n++ {
				h.settleOne(t)
			}
		})
	}
	over := make(chan struct{})
	others.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-over:
				return
			case <-time.After(3 * time.Millisecond):
				h.disturb(t, n, h.sales[n%2])
			}
		}
	})
	settlers.Wait()
	close(over)
	others.Wait()
	opts.Calm()
	h.untilDone(t)
	s.check(t, one, three)
}

type hammer struct {
	*suite
	sales []int64 // the last one does not exist

	mu     sync.Mutex
	orders []order.Order
	told   map[order.Order]string // by identity: the verdict that all must agree on
}

// settleOne settles one batch and records the verdicts. After an error a consumer would
// try again.
func (h *hammer) settleOne(t *testing.T) {
	t.Helper()
	batch := h.batch(t)
	for range 20 {
		vs, err := h.store.Settle(t.Context(), batch)
		if err == nil {
			h.tell(t, vs...)
			return
		}
	}
}

func (h *hammer) disturb(t *testing.T, n int, saleID int64) {
	t.Helper()
	if o, ok := h.known(20); ok {
		if v, err := h.store.Void(t.Context(), o); err == nil {
			h.tell(t, v)
		}
	}
	_, _ = h.restock(t.Context(), fmt.Sprintf("restock-%d-%d", saleID, n/4), saleID, 3)
}

// untilDone settles all orders once more, without faults.
func (h *hammer) untilDone(t *testing.T) {
	t.Helper()
	for from := 0; from < len(h.orders); from += 200 {
		vs, err := h.store.Settle(t.Context(), h.orders[from:min(from+200, len(h.orders))])
		require.NoError(t, err)
		h.tell(t, vs...)
	}
	decided, undecided, err := h.store.Verdicts(t.Context(), h.orders)
	require.NoError(t, err)
	require.Empty(t, undecided)
	h.tell(t, decided...)
}

// tell fails if an order had another verdict before.
func (h *hammer) tell(t *testing.T, vs ...order.Verdict) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, v := range vs {
		who := order.Order{ID: v.ID, SaleID: v.SaleID, ShopperID: v.ShopperID}
		verdict := fmt.Sprintf("%s %s", v.Status, v.Reason)
		if was, ok := h.told[who]; ok && was != verdict {
			t.Errorf("order %d: %s, then %s", v.ID, was, verdict)
		}
		h.told[who] = verdict
	}
}

func (h *hammer) known(within int) (order.Order, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := len(h.orders)
	if n == 0 {
		return order.Order{}, false
	}
	return h.orders[n-1-rand.IntN(min(n, within))], true
}

// batch mixes new orders, redeliveries and repeats within the batch.
func (h *hammer) batch(t *testing.T) []order.Order {
	t.Helper()
	n := 1 + rand.IntN(64)
	b := make([]order.Order, 0, n)
	for len(b) < n {
		o, ok := h.known(200)
		switch r := rand.IntN(10); {
		case r == 0 && len(b) > 0:
			o = b[rand.IntN(len(b))]
		case r > 3 || !ok:
			o = h.invent(t)
		}
		b = append(b, o)
	}
	rand.Shuffle(len(b), func(i, j int) { b[i], b[j] = b[j], b[i] })
	return b
}

// invent returns a new order that the other goroutines settle and void, too. A few have
// the ID of another order.
func (h *hammer) invent(t *testing.T) order.Order {
	t.Helper()
	id, err := h.ids.Next()
	if err != nil {
		t.Error(err)
	}
	o := order.Order{
		ID: id, SaleID: h.sales[rand.IntN(4)], ShopperID: "shopper-" + strconv.Itoa(rand.IntN(80)),
		Quantity: 1 + rand.IntN(3), Slot: rand.IntN(3), Key: rand.Uint64N(4) << 62,
	}
	switch rand.IntN(60) {
	case 0:
		o.SaleID = h.sales[4]
	case 1:
		if old, ok := h.known(50); ok {
			o.ID = old.ID
		}
	case 2:
		o.Reference = string(make([]byte, 70)) // poison that only the server finds
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.orders = append(h.orders, o)
	return o
}
