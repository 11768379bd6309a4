package model_test

import (
	"errors"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"seckill/internal/testenv"
	"seckill/order"
	"seckill/stock"
)

// pair is a sale in the model and in the scripts of package stock, which have
// to agree after every step.
type pair struct {
	*testing.T
	c      config
	s      state
	rdb    goredis.UniversalClient
	ledger *stock.Ledger
	sale   order.Sale
	orders []order.Order
}

func TestTheScriptsDoWhatTheModelSays(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		w := newPair(t, seed)
		r := rand.New(rand.NewPCG(seed, 1))
		for step := range 40 {
			w.step(r)
			w.agree(seed, step)
		}
	}
}

func newPair(t *testing.T, seed uint64) *pair {
	t.Helper()
	asks := [][]ask{retries, twoKeys, keyAgain, noneAgain, large, sameKey}[seed%6]
	w := &pair{T: t, c: variant(config{asks: asks, total: 2, limit: 1 + uint8(seed%2), attempts: uint8(seed % 4)}), rdb: testenv.Miniredis(t)}
	w.s, w.ledger = w.c.initial(), stock.New(w.rdb)
	now := time.Now()
	w.sale = order.Sale{
		ID: testenv.SaleID(), Title: "t", Currency: "CNY", Total: 2, Available: 2, OrdersPerShopper: int(w.c.limit),
		UnitsPerOrder: 2, State: order.SaleOpen, Epoch: 1, StartsAt: now.Add(-time.Hour), EndsAt: now.Add(time.Hour),
	}
	ids := order.NewIDMaker(1)
	for _, a := range w.c.asks {
		id, err := ids.Next()
		require.NoError(t, err)
		w.orders = append(w.orders, order.Order{
			ID: id, SaleID: w.sale.ID, ShopperID: shopperOf(a.shopper), Quantity: int(a.units), Key: uint64(a.key),
		})
	}
	w.load()
	return w
}

// load loads what MySQL has now into both.
func (w *pair) load() {
	w.Helper()
	d := &w.s.db
	w.sale.Total, w.sale.Available, w.sale.Seq = int(d.total), int(d.avail), uint64(d.seq)
	w.sale.State = []order.SaleState{order.SaleOpen, order.SalePaused}[d.state]
	into, err := w.ledger.Begin(w.Context(), w.sale)
	require.NoError(w, err)
	var returned []order.Returns
	for who, n := range d.back {
		if n > 0 {
			returned = append(returned, order.Returns{ShopperID: shopperOf(uint8(who)), Orders: int(n), At: longAgo})
		}
	}
	require.NoError(w, into.AddReturns(w.Context(), returned))
	m := moves{&w.c, &w.s, nil}
	m.out = func(a act, _ bool, t state) {
		if strings.HasPrefix(a.text, "loader") {
			w.s = t
		}
	}
	for m.s.r.loaded = 0; w.s.r.loaded == 0; {
		m.loader(0)
	}
	for i, o := range w.orders {
		o.Slot = int(d.slot[i])
		require.NoError(w, into.Add(w.Context(), []order.Record{{Order: o, Status: statuses[d.row[i]]}}))
	}
	require.NoError(w, into.Finish(w.Context(), w.sale))
}

// longAgo is when orders were returned: the pause is no part of the model.
var longAgo = time.Now().Add(-time.Hour)

func shopperOf(who uint8) string { return string('a' + rune(who)) }

var statuses = []order.Status{"", order.StatusConfirmed, order.StatusRejected, order.StatusPaid, order.StatusCancelled}

func (w *pair) step(r *rand.Rand) {
	i, d := r.IntN(len(w.orders)), &w.s.db
	switch what := r.IntN(12); {
	case what < 4:
		w.reserve(i)
	case what < 9 && d.seq > 0: // any change at any time, again too
		w.apply(1 + uint8(r.IntN(int(d.seq))))
	case what == 9 && d.row[i] != none:
		w.replay(i)
	case d.seq == maxLog:
		if r.IntN(5) == 0 {
			require.NoError(w, w.ledger.Unload(w.Context(), w.sale.ID))
			w.s.r = redis{}
			w.load()
		}
	case what == 10 && d.row[i] == confirmed:
		w.c.cancel(&w.s, i, r.IntN(3) == 0)
	case what == 11 && r.IntN(3) == 0:
		d.total++
		d.avail++
		d.state = uint8(r.IntN(2))
		d.commit(change{ofSale: 1, units: 1, state: d.state})
	default:
		w.c.settle(d, w.s.r.slot, i)
	}
}

func (w *pair) reserve(i int) {
	done, named := w.c.reserve(&w.s.r, i)
	got, err := w.ledger.Reserve(w.Context(), w.sale.ID, []stock.Purchase{{Order: w.orders[i], Attempts: int(w.c.attempts)}})
	require.NoError(w, err)
	require.Equal(w, done, got[0].Err == nil, "reserved: %v", got[0].Err)
	require.Equal(w, !done && named >= 0, errors.Is(got[0].Err, stock.ErrReplay))
	if !done && named >= 0 {
		require.Equal(w, w.orders[named].ID, got[0].Entry.ID)
	}
}

func (w *pair) verdicts(to perOrder, back perShopper) (vs []order.Verdict) {
	for i, status := range to[:len(w.orders)] {
		if status != none {
			v := order.Verdict{Order: w.orders[i], Status: statuses[status]}
			v.Slot = int(w.s.db.slot[i])
			v.Returned = int(back[w.c.asks[i].shopper])
			vs = append(vs, v)
		}
	}
	return vs
}

func (w *pair) apply(seq uint8) {
	ch := w.s.db.log[seq-1]
	as := order.Change{SaleID: w.sale.ID, Seq: uint64(seq), Verdicts: w.verdicts(ch.to, ch.back)}
	if ch.ofSale == 1 {
		as.Sale = &order.SaleEffect{Units: int(ch.units), State: []order.SaleState{order.SaleOpen, order.SalePaused}[ch.state]}
	}
	w.c.apply(&w.s, seq, ch)
	require.NoError(w, w.ledger.Apply(w.Context(), []order.Change{as}))
	w.outwait()
}

func (w *pair) replay(i int) {
	var to perOrder
	to[i] = w.s.db.row[i]
	w.c.apply(&w.s, 0, change{to: to})
	require.NoError(w, w.ledger.Replay(w.Context(), w.verdicts(to, perShopper{})))
}

// outwait dates what Redis has just counted an hour back.
func (w *pair) outwait() {
	key := "seckill:{" + order.ID(w.sale.ID).String() + "}:o"
	all, err := w.rdb.HGetAll(w.Context(), key).Result()
	require.NoError(w, err)
	for shopper, value := range all {
		past := returnedAt.ReplaceAllString(value, "${1}"+strconv.FormatInt(longAgo.UnixMilli(), 10))
		require.NoError(w, w.rdb.HSet(w.Context(), key, shopper, past).Err())
	}
}

var returnedAt = regexp.MustCompile(`(C1,-,\d+,,)\d+`)

// agree compares counters, cursor, marks, entries and what was returned.
func (w *pair) agree(seed uint64, step int) {
	w.Helper()
	ms, err := w.ledger.Metas(w.Context(), []int64{w.sale.ID})
	require.NoError(w, err)
	r, m := &w.s.r, ms[0]
	require.Equal(w, []int64{int64(r.total), int64(r.avail), int64(r.pend), int64(r.set), int64(r.applied)},
		[]int64{m.Total, m.Available, m.Pending, m.Settled, int64(m.Applied)}, "seed %d step %d: total, available, pending, settled, applied", seed, step)
	require.Equal(w, r.state == paused, m.State == order.SalePaused, "seed %d step %d", seed, step)
	for n := range maxLog {
		marked, err := w.rdb.HExists(w.Context(), "seckill:{"+order.ID(w.sale.ID).String()+"}:m", "e"+order.ID(n+1).String()).Result()
		require.NoError(w, err)
		require.Equal(w, r.marks&bit(n) != 0, marked, "seed %d step %d: mark %d", seed, step, n+1)
	}
	for who, want := range r.back {
		n, err := w.ledger.Returned(w.Context(), w.sale.ID, shopperOf(uint8(who)))
		require.NoError(w, err)
		require.EqualValues(w, want, n, "seed %d step %d: returned by shopper %d", seed, step, who)
	}
	for i, o := range w.orders {
		e, ok, err := w.ledger.Entry(w.Context(), w.sale.ID, o.ShopperID, o.ID)
		require.NoError(w, err)
		require.Equal(w, r.ent[i] != absent, ok, "seed %d step %d: entry of order %d", seed, step, i)
		if !ok {
			continue
		}
		require.Equal(w, "-PSRC"[r.ent[i]], string(e.State)[0], "seed %d step %d: order %d", seed, step, i)
		if held(r.ent[i]) && r.slot[i] != noSlot {
			require.EqualValues(w, r.slot[i], e.Slot, "seed %d step %d: slot of order %d", seed, step, i)
		} else {
			require.Equal(w, -1, e.Slot, "seed %d step %d: slot of order %d", seed, step, i)
		}
	}
}
