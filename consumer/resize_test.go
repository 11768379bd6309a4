package consumer_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/consumer"
)

func TestWorkersComeAndGoWhileNothingIsLostOrSettledTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 2, func(r *rig) { r.mysql.took = 20 * time.Millisecond })
		defer r.stop()
		const deliveries, each = 300, 100
		var wg sync.WaitGroup
		for i := range int64(deliveries) {
			wg.Go(func() { require.NoError(t, r.receiver.Handle(t.Context(), delivery(1+i*each, each))) })
		}
		for _, step := range []struct{ workers, atMost int }{{2, 2}, {4, 4}, {1, 4}, {8, 8}, {3, 8}} {
			r.pool.SetWorkers(step.workers)
			time.Sleep(7 * time.Millisecond) // in the middle of a transaction
			synctest.Wait()
			require.LessOrEqual(t, r.mysql.running.Load(), int64(step.atMost), "who is too many counts until its batch is done")
			r.mysql.most.Store(0)
			time.Sleep(80 * time.Millisecond)
			require.Equal(t, int64(step.workers), r.mysql.running.Load())
			require.Equal(t, step.workers, r.pool.Load().Workers)
		}
		wg.Wait()
		seen := map[int64]int{}
		for _, batch := range r.mysql.batches {
			for _, o := range batch {
				seen[int64(o.ID)]++
			}
		}
		require.Len(t, seen, deliveries*each)
		require.Equal(t, deliveries*each, r.mysql.settled(), "each once")
		require.InDelta(t, deliveries*each, r.pool.Load().Settled, 0)
	})
}

func TestIdleWorkersThatAreTooManyEndAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 8, nil)
		defer r.stop()
		synctest.Wait()
		require.Equal(t, 8, r.pool.Load().Workers)
		r.pool.SetWorkers(1)
		synctest.Wait()
		require.Equal(t, 1, r.pool.Load().Workers)
		require.NoError(t, r.receiver.Handle(t.Context(), delivery(1, 300)))
		require.Equal(t, int64(1), r.mysql.most.Load())
	})
}

func TestAWorkerThatIsTooManyEndsAlsoWhileMySQLIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 2, func(r *rig) { r.mysql.down.Store(true) })
		defer r.stop()
		acked := make(chan error, 2)
		for i := range int64(2) {
			go func() { acked <- r.receiver.Handle(t.Context(), delivery(1+i*256, 256)) }()
			synctest.Wait()
		}
		time.Sleep(time.Second)
		r.pool.SetWorkers(1)
		synctest.Wait()
		require.Equal(t, 1, r.pool.Load().Workers)
		require.Empty(t, acked)
		r.mysql.down.Store(false)
		require.NoError(t, <-acked)
		require.NoError(t, <-acked)
		require.Equal(t, 512, r.mysql.settled())
	})
}

func TestThePoolStopsWhateverItsSizeWas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 1, nil)
		synctest.Wait()
		r.pool.SetWorkers(6)
		r.stop()
		r.pool.SetWorkers(9)
		synctest.Wait()
		require.Zero(t, r.pool.Load().Workers, "none begins after the end")
		require.ErrorIs(t, r.receiver.Handle(t.Context(), delivery(1, 3000)), consumer.ErrStopped)
	})
}

func TestAWorkerThatWaitsGoesByTheNewRate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		from, to float64
		after    time.Duration // the change
		least    time.Duration // for what is left of 1,000 orders then
		most     time.Duration
	}{
		{"uncapped", 0.001, 0, time.Minute, 0, 100 * time.Millisecond},
		{"raised", 0.001, 500, time.Minute, 1700 * time.Millisecond, 2 * time.Second},
		{"lowered", 600, 20, time.Second, 10 * time.Second, 20 * time.Second}, // with 150 orders of one batch in hand
	} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, 3, func(r *rig) { r.rate, r.mysql.took = c.from, 100*time.Microsecond })
			defer r.stop()
			acked := make(chan error, 1)
			go func() { acked <- r.receiver.Handle(t.Context(), delivery(1, 1000)) }()
			time.Sleep(c.after)
			require.Less(t, r.mysql.settled(), 1000)
			changed := time.Now()
			r.pool.SetRate(c.to)
			require.NoError(t, <-acked)
			took := time.Since(changed)
			require.LessOrEqual(t, took, c.most, c.name)
			require.GreaterOrEqual(t, took, c.least, c.name)
			require.Equal(t, 1000, r.mysql.settled())
		})
	}
}

func TestTheSameRateAgainLetsNothingMoreThrough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 2, func(r *rig) { r.rate = 100 })
		defer r.stop()
		acked := make(chan error, 1)
		go func() { acked <- r.receiver.Handle(t.Context(), delivery(1, 400)) }()
		for range 200 { // as when the number of APIs changes
			r.pool.SetRate(100)
			time.Sleep(10 * time.Millisecond)
		}
		require.InDelta(t, 200, r.mysql.settled(), 60)
		require.NoError(t, <-acked)
	})
}
