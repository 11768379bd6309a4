package event_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
	"seckill/order/memory"
	"seckill/queue"
)

func TestOneProcessSendsAndAnotherContinuesWhenItIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, first, second := newFixture(t), &fakeTopic{}, &fakeTopic{}
		one, _ := f.relay(f.store, first)
		two, _ := f.relay(f.store, second)
		f.settle(sale, 1)
		require.NoError(t, one.Step(t.Context()))
		for range 5 {
			f.settle(sale, 1)
			require.NoError(t, two.Step(t.Context()))
			time.Sleep(time.Second)
			require.NoError(t, one.Step(t.Context()))
		}
		require.Len(t, first.ids(), 6)
		require.Empty(t, second.ids())

		f.settle(sale, 1) // the first one is killed
		time.Sleep(9 * time.Second)
		require.NoError(t, two.Step(t.Context()))
		require.Empty(t, second.ids())
		time.Sleep(2 * time.Second)
		require.NoError(t, two.Step(t.Context()))
		require.Len(t, second.ids(), 1)

		require.NoError(t, two.Release(t.Context())) // and the second one stops
		f.settle(sale, 1)
		require.NoError(t, one.Step(t.Context()))
		require.Len(t, first.ids(), 7)
	})
}

// blockingStore blocks after a page was read, until goOn is closed.
type blockingStore struct {
	*memory.Store

	goOn chan struct{}
}

func (s blockingStore) EventPage(ctx context.Context, saleID int64, after uint64, orders int) (es []order.Event, through uint64, more bool, err error) {
	es, through, more, err = s.Store.EventPage(ctx, saleID, after, orders)
	<-s.goOn
	return es, through, more, err
}

// TestAProcessThatSleptTooLongOnlyRepeats: one process stops between reading its page and
// sending it, and another one overtakes it.
func TestAProcessThatSleptTooLongOnlyRepeats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		slow, quick, goOn := &fakeTopic{}, &fakeTopic{}, make(chan struct{})
		os := f.settle(sale, 1)
		one, _ := f.relay(blockingStore{f.store, goOn}, slow)
		two, _ := f.relay(f.store, quick)
		done := make(chan error, 1)
		go func() { done <- one.Step(t.Context()) }()
		time.Sleep(11 * time.Second)
		_, err := f.store.Cancel(t.Context(), os[0].ID)
		require.NoError(t, err)
		require.NoError(t, two.Step(t.Context()))
		close(goOn)
		require.NoError(t, <-done)
		require.Equal(t, []string{"77-1-1001", "77-2-1001"}, quick.ids())
		require.Equal(t, []string{"77-1-1001"}, slow.ids(), "late, but a reader drops it by its sequence")
		require.Equal(t, uint64(2), f.cursor(sale), "the cursor is not moved back")
	})
}

func TestAPageThatTakesLongerThanALeaseIsSentByNobodyElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, slow, quick := newFixture(t), &fakeTopic{each: 15 * time.Second}, &fakeTopic{}
		f.settle(sale, 1)
		one, _ := f.relay(f.store, slow)
		two, _ := f.relay(f.store, quick)
		done := make(chan error, 1)
		go func() { done <- one.Step(t.Context()) }()
		for range 14 {
			time.Sleep(time.Second)
			require.NoError(t, two.Step(t.Context()))
		}
		require.NoError(t, <-done)
		require.Empty(t, quick.ids())
		require.Len(t, slow.ids(), 1)
	})
}

// TestASlowBrokerIsSentWhatItTakes: pages take longer than their step.
func TestASlowBrokerIsSentWhatItTakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, out := newFixture(t), &fakeTopic{each: 50 * time.Millisecond}
		for range 40 {
			f.settle(sale, 50)
		}
		r, _ := f.relay(f.store, out)
		step := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			return r.Step(ctx)
		}
		for range 3 {
			require.ErrorIs(t, step(), context.DeadlineExceeded, "which is reported")
			require.Zero(t, f.cursor(sale))
		}
		require.NoError(t, step())
		require.Equal(t, []int{2000, 1000, 500, 250}, out.sizes)
		require.Equal(t, uint64(5), f.cursor(sale))
		for i := 0; f.cursor(sale) < 40; i++ {
			require.Less(t, i, 20)
			_ = step()
		}
		require.Len(t, out.ids(), 2000, "each once: a page that is cut off is not stored here")
	})
}

func TestPagesShrinkToOneChangeWhileTheyFailAndGrowAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // a step has two seconds, and a machine may be busy
		f, out := newFixture(t), &fakeTopic{fail: queue.ErrNotStored}
		for range 200 {
			f.settle(sale, 50)
		}
		r, _ := f.relay(f.store, out)
		for range 12 {
			require.ErrorIs(t, r.Step(t.Context()), queue.ErrNotStored)
		}
		require.Equal(t, []int{2000, 1000, 500, 250, 100, 50, 50, 50, 50, 50, 50, 50}, out.sizes, "at least one change")
		out.fail, out.sizes = nil, nil
		require.NoError(t, r.Step(t.Context()))
		require.Equal(t, []int{50, 50, 50, 50, 50, 50, 50, 100, 250, 500, 1000, 2000}, out.sizes[:12])
		require.Equal(t, uint64(200), f.cursor(sale))
	})
}
