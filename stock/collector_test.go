package stock_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/catalog"
	"seckill/internal/testenv"
	"seckill/order"
	"seckill/stock"
)

var errDown = errors.New("redis is down")

// fake answers every batch as told and remembers it.
type fake struct {
	mu      sync.Mutex
	batches [][]order.ID
	holds   bool
	hold    chan struct{} // a batch waits for it
	answer  func(call int) error
}

func (f *fake) Reserve(ctx context.Context, _ int64, os []stock.Purchase) ([]stock.Reservation, error) {
	ids := make([]order.ID, len(os))
	rs := make([]stock.Reservation, len(os))
	for i, o := range os {
		ids[i], rs[i] = o.ID, stock.Reservation{Slot: int(o.ID), Available: 1}
	}
	f.mu.Lock()
	f.batches = append(f.batches, ids)
	call := len(f.batches)
	f.mu.Unlock()
	if f.hold != nil {
		select {
		case <-f.hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if f.answer != nil {
		if err := f.answer(call); err != nil {
			return nil, err
		}
	}
	return rs, nil
}

func numbered(sale int64, id int) stock.Purchase {
	return stock.Purchase{Order: order.Order{ID: order.ID(id), SaleID: sale, ShopperID: fmt.Sprint("s", id), Quantity: 1}}
}

// inBubble runs a test with a collector in a bubble of its own time.
func inBubble(t *testing.T, f *fake, o stock.CollectorOptions, test func(t *testing.T, c *stock.Collector)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		if f.holds {
			f.hold = make(chan struct{}) // of the bubble
		}
		c := stock.NewCollector(f, o)
		test(t, c)
		c.Close()
	})
}

func TestOrdersThatComeDuringACallMakeTheNextBatch(t *testing.T) {
	f := &fake{holds: true}
	inBubble(t, f, stock.CollectorOptions{Max: 8}, func(t *testing.T, c *stock.Collector) {
		var wg sync.WaitGroup
		reserve := func(id int) {
			wg.Go(func() {
				r, err := c.Reserve(t.Context(), numbered(1, id))
				require.NoError(t, err)
				require.Equal(t, id, r.Slot, "the answer is the order's own")
			})
			synctest.Wait()
		}
		for id := range 10 {
			reserve(id + 1)
		}
		for range 3 {
			f.hold <- struct{}{}
			synctest.Wait()
		}
		wg.Wait()
		require.Equal(t, [][]order.ID{{1}, {2, 3, 4, 5, 6, 7, 8, 9}, {10}}, f.batches)
	})
}

func TestAFullQueueRefuses(t *testing.T) {
	f := &fake{holds: true}
	inBubble(t, f, stock.CollectorOptions{Queue: 2}, func(t *testing.T, c *stock.Collector) {
		var wg sync.WaitGroup
		for id := range 3 {
			wg.Go(func() { _, _ = c.Reserve(t.Context(), numbered(1, id+1)) })
			synctest.Wait()
		}
		_, err := c.Reserve(t.Context(), numbered(1, 4))
		require.ErrorIs(t, err, stock.ErrBusy)
		close(f.hold)
		wg.Wait()
	})
}

func TestACallerThatLeavesKnowsWhetherItsOrderMayHaveRun(t *testing.T) {
	f := &fake{holds: true}
	inBubble(t, f, stock.CollectorOptions{}, func(t *testing.T, c *stock.Collector) {
		ctx, cancel := context.WithCancel(t.Context())
		var running, queued error
		var wg sync.WaitGroup
		wg.Go(func() { _, running = c.Reserve(ctx, numbered(1, 1)) })
		synctest.Wait()
		wg.Go(func() { _, queued = c.Reserve(ctx, numbered(1, 2)) })
		synctest.Wait()
		cancel()
		wg.Wait()
		require.ErrorIs(t, running, stock.ErrUnknown)
		require.ErrorIs(t, queued, stock.ErrUnavailable)
		require.ErrorIs(t, queued, context.Canceled)
		close(f.hold)
		synctest.Wait()
		require.Equal(t, [][]order.ID{{1}}, f.batches, "who left the queue is not reserved")
		r, err := c.Reserve(t.Context(), numbered(1, 3))
		require.NoError(t, err)
		require.Equal(t, 3, r.Slot)
	})
}

func TestABatchWithoutAnAnswerIsRepeatedOnce(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fails int // so many calls
		open  int // the guard refuses from this attempt on
		want  error
		calls int
	}{
		"the repetition answers":         {1, 9, nil, 2},
		"neither answers":                {9, 9, stock.ErrUnknown, 2},
		"the breaker is open":            {0, 1, stock.ErrUnavailable, 0},
		"the breaker opens after a try":  {9, 2, stock.ErrUnknown, 1},
		"the first call answers at once": {0, 9, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{answer: func(call int) error {
				if call <= tc.fails {
					return errDown
				}
				return nil
			}}
			attempts := 0
			guard := func(_ context.Context, _ int64, run func() error) error {
				if attempts++; attempts >= tc.open {
					return errors.New("open")
				}
				return run()
			}
			inBubble(t, f, stock.CollectorOptions{Guard: guard}, func(t *testing.T, c *stock.Collector) {
				_, err := c.Reserve(t.Context(), numbered(1, 7))
				require.ErrorIs(t, err, tc.want)
				require.Len(t, f.batches, tc.calls)
				for _, b := range f.batches {
					require.Equal(t, []order.ID{7}, b)
				}
			})
		})
	}
}

func TestACallThatHangsEndsByItself(t *testing.T) {
	f := &fake{holds: true}
	inBubble(t, f, stock.CollectorOptions{Timeout: time.Second}, func(t *testing.T, c *stock.Collector) {
		began := time.Now()
		_, err := c.Reserve(t.Context(), numbered(1, 1))
		require.ErrorIs(t, err, stock.ErrUnknown)
		require.Equal(t, time.Second, time.Since(began))
	})
}

func TestTheGoroutineOfAnIdleSaleEnds(t *testing.T) {
	inBubble(t, &fake{}, stock.CollectorOptions{Sales: 1, Idle: time.Second}, func(t *testing.T, c *stock.Collector) {
		_, err := c.Reserve(t.Context(), numbered(1, 1))
		require.NoError(t, err)
		_, err = c.Reserve(t.Context(), numbered(2, 2))
		require.ErrorIs(t, err, stock.ErrBusy, "one sale at a time")
		time.Sleep(900 * time.Millisecond)
		_, err = c.Reserve(t.Context(), numbered(1, 3))
		require.NoError(t, err)
		time.Sleep(time.Second)
		_, err = c.Reserve(t.Context(), numbered(2, 4))
		require.ErrorIs(t, err, stock.ErrBusy, "used within the second")
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		_, err = c.Reserve(t.Context(), numbered(2, 5))
		require.NoError(t, err)
	})
}

func TestCloseAnswersWhoWaitsAndRefusesTheRest(t *testing.T) {
	f := &fake{holds: true}
	inBubble(t, f, stock.CollectorOptions{}, func(t *testing.T, c *stock.Collector) {
		var wg sync.WaitGroup
		for id := range 3 {
			wg.Go(func() {
				r, err := c.Reserve(t.Context(), numbered(1, id+1))
				require.NoError(t, err)
				require.Equal(t, id+1, r.Slot)
			})
			synctest.Wait()
		}
		wg.Go(c.Close)
		synctest.Wait()
		_, err := c.Reserve(t.Context(), numbered(1, 9))
		require.ErrorIs(t, err, stock.ErrUnavailable)
		close(f.hold)
		wg.Wait()
	})
}

func TestTheCollectorObservesAndMarksASaleSoldOut(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.load(2, 1)
		cat := catalog.New(func(context.Context) ([]order.Sale, error) { return []order.Sale{f.sale}, nil }, f.l, slog.Default())
		require.NoError(f, cat.Refresh(f.Context()))
		var batches atomic.Int64
		c := stock.NewCollector(f.l, stock.CollectorOptions{SoldOut: cat.MarkSoldOut, Observe: func(n int, took time.Duration, err error) {
			if n == 1 && took > 0 && err == nil {
				batches.Add(1)
			}
		}})
		defer c.Close()
		flag := func() bool { s, _ := cat.Get(f.sale.ID); return s.SoldOut() }
		_, err := c.Reserve(f.Context(), stock.Purchase{Order: f.order("ann")})
		require.NoError(f, err)
		require.False(f, flag())
		_, err = c.Reserve(f.Context(), stock.Purchase{Order: f.order("bob", units(2))})
		require.NoError(f, err)
		require.False(f, flag(), "too few for this order, not for all")
		_, err = c.Reserve(f.Context(), stock.Purchase{Order: f.order("cid")})
		require.NoError(f, err)
		require.True(f, flag())
		r, err := c.Reserve(f.Context(), stock.Purchase{Order: f.order("dan")})
		require.NoError(f, err)
		require.ErrorIs(f, r.Err, stock.ErrSoldOut)
		require.EqualValues(f, 4, batches.Load())
	})
}

// Many callers, some of whom leave, over few units: what was answered is what
// Redis holds, and nobody gets another one's answer.
func TestTheCollectorUnderLoadAnswersEachOrderItsOwn(t *testing.T) {
	t.Parallel()
	f := newFixture(t, testenv.Redis(t))
	const callers, each, total = 32, 40, 500
	f.load(total, 2)
	c := stock.NewCollector(f.l, stock.CollectorOptions{Max: 16, Queue: 64, Idle: time.Millisecond})
	var wg sync.WaitGroup
	var reserved, unknown, refused, missing atomic.Int64
	for i := range callers {
		wg.Go(func() {
			for j := range each {
				o := f.order(fmt.Sprintf("s%d-%d", i, j))
				ctx, cancel := context.WithCancel(t.Context())
				if j%5 == 0 {
					time.AfterFunc(time.Duration(rand.IntN(200))*time.Microsecond, cancel)
				}
				r, err := c.Reserve(ctx, stock.Purchase{Order: o})
				cancel()
				e, held, lookErr := f.l.Entry(t.Context(), o.SaleID, o.ShopperID, o.ID)
				switch {
				case lookErr != nil:
					t.Error(lookErr)
				case errors.Is(err, stock.ErrUnknown):
					unknown.Add(1)
				case err == nil && r.Err == nil:
					reserved.Add(1)
					if !held || e.ShopperID != o.ShopperID {
						missing.Add(1)
					}
				default:
					refused.Add(1)
					if held {
						missing.Add(1)
					}
				}
			}
		})
	}
	wg.Wait()
	c.Close()
	require.Zero(t, missing.Load())
	m := f.meta()
	require.EqualValues(t, total, m.Available+m.Pending)
	require.GreaterOrEqual(t, m.Pending, reserved.Load())
	require.LessOrEqual(t, m.Pending, reserved.Load()+unknown.Load())
	t.Logf("reserved %d, unknown %d, refused %d", reserved.Load(), unknown.Load(), refused.Load())
}
