package consumer_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"seckill/consumer"
	"seckill/order"
	"seckill/queue"
	"seckill/queue/queuetest"
)

// mysql is a store that confirms everything, or does what a test asks.
type mysql struct {
	took    time.Duration
	down    atomic.Bool
	refused atomic.Int64 // sale of which no order is settled
	running atomic.Int64
	most    atomic.Int64
	seq     atomic.Uint64
	known   atomic.Int64 // order that has its verdict already

	full atomic.Bool // of dead letters

	mu      sync.Mutex
	tried   []int // sizes of batches, also of those that failed
	batches [][]order.Order
	dead    []order.DeadLetter
}

var errDown = errors.New("mysql is down")

func (m *mysql) Settle(_ context.Context, batch []order.Order) ([]order.Verdict, error) {
	now := m.running.Add(1)
	defer m.running.Add(-1)
	for most := m.most.Load(); now > most && !m.most.CompareAndSwap(most, now); most = m.most.Load() {
	}
	time.Sleep(m.took)
	m.mu.Lock()
	m.tried = append(m.tried, len(batch))
	m.mu.Unlock()
	if m.down.Load() || slices.ContainsFunc(batch, func(o order.Order) bool { return o.SaleID == m.refused.Load() }) {
		return nil, errDown
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.batches = append(m.batches, append([]order.Order(nil), batch...))
	seq := m.seq.Add(1)
	vs := make([]order.Verdict, len(batch))
	for i, o := range batch {
		vs[i] = order.Verdict{Order: o, Status: order.StatusConfirmed, Seq: seq}
		if int64(o.ID) == m.known.Load() {
			vs[i].Seq = 0
		}
	}
	return vs, nil
}

func (m *mysql) AddDeadLetter(_ context.Context, d order.DeadLetter) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.down.Load():
		return errDown
	case m.full.Load():
		return order.ErrFull
	}
	m.dead = append(m.dead, d)
	return nil
}

// attempts returns the sizes of the batches since the last call.
func (m *mysql) attempts() []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	tried := m.tried
	m.tried = nil
	return tried
}

func (m *mysql) settled() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.batches {
		n += len(b)
	}
	return n
}

// redis records what it is told, or fails.
type redis struct {
	mu      sync.Mutex
	err     error
	applied []order.Change
	replays [][]order.Verdict
}

func (r *redis) Apply(_ context.Context, cs []order.Change) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.applied = append(r.applied, cs...)
	return r.err
}

func (r *redis) Replay(_ context.Context, vs []order.Verdict) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.replays = append(r.replays, vs)
	return r.err
}

type rig struct {
	mysql    *mysql
	redis    *redis
	pool     *consumer.Pool
	receiver *consumer.Receiver
	metrics  *prometheus.Registry
	rate     float64
	change   func(*consumer.Options)
	stop     func()

	unsignedUntil time.Time
}

// start runs a pool in the test's bubble; stop waits for it.
func start(t *testing.T, workers int, change func(*rig)) *rig {
	t.Helper()
	r := &rig{mysql: &mysql{took: 5 * time.Millisecond}, redis: &redis{}, metrics: prometheus.NewRegistry()}
	if change != nil {
		change(r)
	}
	log := slog.New(slog.DiscardHandler)
	o := consumer.Options{
		Orders: r.mysql, Ledger: r.redis, Workers: workers, Batch: 256, Rate: r.rate, Linger: 10 * time.Millisecond,
		Metrics: r.metrics, Log: log,
	}
	if r.change != nil {
		r.change(&o)
	}
	r.pool = consumer.NewPool(o)
	ro := consumer.ReceiverOptions{
		Signer: queuetest.Signer(), DeadLetters: r.mysql, UnsignedUntil: r.unsignedUntil, NewerWait: 10 * time.Minute,
		Metrics: o.Metrics, Log: log,
	}
	r.receiver = consumer.NewReceiver(r.pool, ro)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.pool.Run(ctx) }()
	r.stop = func() { cancel(); require.NoError(t, <-done) }
	return r
}

func message(id int64) queue.Message { return messageOf(1, id) }

func messageOf(sale, id int64) queue.Message {
	o := order.Order{ID: order.ID(id), SaleID: sale, ShopperID: strconv.FormatInt(id, 10), Quantity: 1}
	return queue.Message{ID: o.ID.String(), Body: queuetest.Signer().Append(nil, o), StoredAt: time.Now()}
}

func delivery(from, n int64) []queue.Message {
	ms := make([]queue.Message, n)
	for i := range ms {
		ms[i] = message(from + int64(i))
	}
	return ms
}

func TestADeliveryIsAcknowledgedOnlyAfterItsOrdersAreCommittedAndTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 2, nil)
		defer r.stop()
		require.NoError(t, r.receiver.Handle(t.Context(), delivery(1, 3)))
		require.Equal(t, 3, r.mysql.settled())
		told := 0 // in one change, or in several: two workers share the delivery
		for _, c := range r.redis.applied {
			told += len(c.Verdicts)
		}
		require.Equal(t, 3, told)
	})
}

func TestALoneOrderDoesNotLinger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 2, nil)
		defer r.stop()
		began := time.Now()
		require.NoError(t, r.receiver.Handle(t.Context(), delivery(1, 1)))
		require.Equal(t, 5*time.Millisecond, time.Since(began), "its transaction and nothing more")
	})
}

func TestOnlyBatchesOfSomeSizeAreWorthWaitingFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 1, nil)
		defer r.stop()
		// Each is handed over while the worker settles the one before, so that it finds
		// all of it: one that is waiting may begin with a part.
		const ms = time.Millisecond
		began, ended := time.Now(), make([]time.Duration, 5)
		var wg sync.WaitGroup
		for i, d := range []struct {
			at time.Duration
			n  int64
		}{{0, 1}, {1 * ms, 84}, {6 * ms, 85}, {11 * ms, 2}, {26 * ms, 2}} {
			wg.Go(func() {
				time.Sleep(d.at)
				require.NoError(t, r.receiver.Handle(t.Context(), delivery(1+int64(i)*100, d.n)))
				ended[i] = time.Since(began)
			})
		}
		wg.Wait()
		require.Equal(t, 10*ms, ended[1], "one came before")
		require.Equal(t, 15*ms, ended[2], "few came before")
		require.Equal(t, 30*ms, ended[3], "many came before: it lingers for 10 ms")
		require.Equal(t, 35*ms, ended[4], "few came before")
	})
}

func TestDeliveriesOfAllQueuesAreMergedIntoFullBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 2, nil)
		defer r.stop()
		var wg sync.WaitGroup
		for i := range int64(64) {
			wg.Go(func() {
				time.Sleep(time.Duration(i%8) * time.Millisecond)
				require.NoError(t, r.receiver.Handle(t.Context(), delivery(1+i*32, 32)))
			})
		}
		wg.Wait()
		require.Equal(t, 64*32, r.mysql.settled())
		require.LessOrEqual(t, len(r.mysql.batches), 12, "2,048 orders fill 8 batches of 256")
	})
}

func TestOpenTransactionsNeverExceedTheWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 3, nil)
		defer r.stop()
		var wg sync.WaitGroup
		for i := range int64(200) {
			wg.Go(func() { require.NoError(t, r.receiver.Handle(t.Context(), delivery(1+i*100, 100))) })
		}
		wg.Wait()
		require.EqualValues(t, 3, r.mysql.most.Load())
	})
}

func TestACappedDrainIsExactWhateverTheWorkersAndLosesNothing(t *testing.T) {
	t.Parallel()
	for _, perSecond := range []float64{2, 300, 5000} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, 4, func(r *rig) { r.rate = perSecond })
			defer r.stop()
			n := int64(10 * perSecond)
			acked := make(chan error, 1)
			began := time.Now()
			go func() { acked <- r.receiver.Handle(t.Context(), delivery(1, n)) }()
			time.Sleep(5 * time.Second)
			require.InDelta(t, 5*perSecond, r.mysql.settled(), max(2, perSecond/4), "after half of the time, at %v/s", perSecond)
			require.NoError(t, <-acked)
			require.InDelta(t, 10, time.Since(began).Seconds(), 0.6)
			require.EqualValues(t, n, r.mysql.settled())
		})
	}
}

func TestALoneOrderDoesNotWaitForACappedDrain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 2, func(r *rig) { r.rate = 300 })
		defer r.stop()
		began := time.Now()
		require.NoError(t, r.receiver.Handle(t.Context(), delivery(1, 1)))
		require.Equal(t, 5*time.Millisecond, time.Since(began))
	})
}

func TestAStopDoesNotWaitForACappedDrain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 2, func(r *rig) { r.rate = 1 })
		acked := make(chan error, 1)
		go func() { acked <- r.receiver.Handle(t.Context(), delivery(1, 1000)) }()
		time.Sleep(10 * time.Second)
		began := time.Now()
		r.stop()
		require.Less(t, time.Since(began), 100*time.Millisecond)
		require.ErrorIs(t, <-acked, consumer.ErrStopped)
	})
}

func TestMySQLAwayBlocksAndLosesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 2, func(r *rig) { r.mysql.down.Store(true) })
		defer r.stop()
		acked := make(chan error, 1)
		go func() { acked <- r.receiver.Handle(t.Context(), delivery(1, 10)) }()
		time.Sleep(time.Minute)
		require.Empty(t, acked, "nothing is acknowledged before its commit")
		r.mysql.down.Store(false)
		require.NoError(t, <-acked)
		require.Equal(t, 10, r.mysql.settled())
	})
}

func TestAStopAcknowledgesNothingThatIsNotCommitted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 1, func(r *rig) { r.mysql.down.Store(true) })
		acked := make(chan error, 1)
		go func() { acked <- r.receiver.Handle(t.Context(), delivery(1, 300)) }()
		synctest.Wait()
		r.stop()
		require.ErrorIs(t, <-acked, consumer.ErrStopped)
		require.Zero(t, r.mysql.settled())
	})
}

func TestWhatNobodyWaitsForAnyMoreTakesNoneOfALowDrainRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 1, func(r *rig) { r.rate = 10 })
		defer r.stop()
		ctx, leave := context.WithTimeout(t.Context(), 5*time.Second)
		defer leave()
		require.ErrorIs(t, r.receiver.Handle(ctx, delivery(1, 1000)), context.DeadlineExceeded)
		require.InDelta(t, 50, r.mysql.settled(), 5, "what was taken before the caller left")
		began := time.Now()
		require.NoError(t, r.receiver.Handle(t.Context(), delivery(2001, 20)))
		require.Less(t, time.Since(began), 3*time.Second, "20 orders at 10 a second, behind 950 that were left")
		require.InDelta(t, 70, r.mysql.settled(), 5)
	})
}

func TestACallerThatLeavesWhileItsOrdersAreInATransactionAcknowledgesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 1, func(r *rig) { r.mysql.took = time.Second })
		defer r.stop()
		ctx, leave := context.WithCancel(t.Context())
		acked := make(chan error, 2)
		go func() { acked <- r.receiver.Handle(ctx, delivery(1, 300)) }()
		synctest.Wait()
		go func() { acked <- r.receiver.Handle(t.Context(), delivery(1001, 10)) }()
		time.Sleep(500 * time.Millisecond)
		leave()
		require.ErrorIs(t, <-acked, context.Canceled)
		require.NoError(t, <-acked)
		require.Len(t, r.mysql.batches, 2)
		first := len(r.mysql.batches[0]) // what the worker found when it looked
		require.NotZero(t, first, "its transaction goes on")
		require.Len(t, r.mysql.batches[1], 10, "the others come again")
		require.NoError(t, r.receiver.Handle(t.Context(), delivery(1, 300)))
		require.Equal(t, first+10+300, r.mysql.settled())
	})
}
