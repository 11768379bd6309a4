package rocketmq_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/queue/queuetest"
	"seckill/queue/rocketmq"
)

// proxied is a connected publisher behind a bridge to the real broker, and an
// admin that goes straight to the broker.
func proxied(t *testing.T, po rocketmq.PublisherOptions) (*bridge, rocketmq.Options, *rocketmq.Publisher, *rocketmq.Admin) {
	t.Helper()
	o, admin := made(t, nameServers(t))
	b := newBridge(t, admin.BrokerAddr(t.Context(), t))
	o.NameServers = b.names
	return b, o, connected(t, o, po), admin
}

// total is how many messages the topic holds.
func total(t *testing.T, admin *rocketmq.Admin) (n int64) {
	t.Helper()
	end, err := admin.MaxOffsets(t.Context())
	require.NoError(t, err)
	for _, at := range end {
		n += at
	}
	return n
}

func TestAnAnswerThatIsCutOffMakesTheOutcomeUnknown(t *testing.T) {
	t.Parallel()
	b, _, p, admin := proxied(t, rocketmq.PublisherOptions{})
	require.NoError(t, p.Publish(t.Context(), queuetest.Order(1)))

	b.cutAnswers()
	start := time.Now()
	require.ErrorIs(t, p.Publish(t.Context(), queuetest.Order(2)), rocketmq.ErrUnknown)
	require.Less(t, time.Since(start), 4*time.Second)
	require.Eventually(t, func() bool { return total(t, admin) >= 2 }, 5*time.Second, 10*time.Millisecond, "it arrived all the same")

	b.heal()
	require.Eventually(t, func() bool { return p.Publish(t.Context(), queuetest.Order(3)) == nil },
		10*time.Second, 50*time.Millisecond, "not selling again")
}

func TestARefusedConnectionMeansNotStored(t *testing.T) {
	t.Parallel()
	b, _, p, admin := proxied(t, rocketmq.PublisherOptions{})
	require.NoError(t, p.Publish(t.Context(), queuetest.Order(1)))

	b.refuse()
	require.Eventually(t, func() bool { // the first may still meet the dying connection
		return errors.Is(p.Publish(t.Context(), queuetest.Order(2)), rocketmq.ErrNotStored)
	}, 10*time.Second, 10*time.Millisecond)
	before := total(t, admin)
	start := time.Now()
	require.ErrorIs(t, p.Publish(t.Context(), queuetest.Order(3)), rocketmq.ErrNotStored)
	require.Less(t, time.Since(start), 4*time.Second)
	require.ErrorIs(t, p.Probe(t.Context()), rocketmq.ErrNotStored)
	require.Equal(t, before, total(t, admin))

	b.accept()
	require.NoError(t, p.Publish(t.Context(), queuetest.Order(4)), "not selling again at once")
	require.NoError(t, p.Probe(t.Context()))
}

func TestAPublisherStartsWhileTheBrokerIsAway(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := l.Addr().String()
	require.NoError(t, l.Close())
	p := publisher(t, options(t, []string{nobody}), rocketmq.PublisherOptions{})
	start := time.Now()
	require.ErrorIs(t, p.Publish(t.Context(), queuetest.Order(1)), rocketmq.ErrNotStored)
	require.ErrorIs(t, p.Probe(t.Context()), rocketmq.ErrNotStored)
	require.Less(t, time.Since(start), time.Second)
}

func TestAnErrorOfTheGuardMeansNotStored(t *testing.T) {
	t.Parallel()
	open := errors.New("breaker open")
	p := publisher(t, options(t, []string{"127.0.0.1:1"}), rocketmq.PublisherOptions{
		Guard: func(func() error) error { return open },
	})
	err := p.Publish(t.Context(), queuetest.Order(1))
	require.ErrorIs(t, err, rocketmq.ErrNotStored)
	require.ErrorIs(t, err, open)
	require.NotErrorIs(t, p.Probe(t.Context()), open, "a breaker that is open would never learn that it may close")
}

// held is a publisher whose one sender is held by the guard until release.
func held(t *testing.T, queue int) (p *rocketmq.Publisher, sent *atomic.Int64, release func()) {
	t.Helper()
	entered, free := make(chan struct{}, 1), make(chan struct{})
	release = sync.OnceFunc(func() { close(free) })
	sent = new(atomic.Int64)
	p = publisher(t, options(t, []string{"127.0.0.1:1"}), rocketmq.PublisherOptions{
		Senders: 1, Queue: queue,
		Guard:   func(func() error) error { entered <- struct{}{}; <-free; return nil },
		Observe: func(_ string, batch int, _ time.Duration) { sent.Add(int64(batch)) },
	})
	t.Cleanup(release)
	go func() { _ = p.Publish(context.Background(), queuetest.Order(1)) }()
	<-entered
	go func() { // later batches pass
		for range entered {
		}
	}()
	return p, sent, release
}

func TestAFullQueueRefuses(t *testing.T) {
	t.Parallel()
	p, _, release := held(t, 3)
	var waiting sync.WaitGroup
	for i := range int64(3) {
		waiting.Go(func() { _ = p.Publish(t.Context(), queuetest.Order(10+i)) })
	}
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		err := p.Publish(ctx, queuetest.Order(99))
		return errors.Is(err, rocketmq.ErrNotStored) && ctx.Err() == nil
	}, 5*time.Second, 10*time.Millisecond)
	release()
	waiting.Wait()
}

func TestABatchThatIsStuckHoldsNoOtherUp(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	entered, free := make(chan struct{}), make(chan struct{})
	p := publisher(t, options(t, []string{"127.0.0.1:1"}), rocketmq.PublisherOptions{
		Guard: func(func() error) error {
			if calls.Add(1) == 1 {
				close(entered)
				<-free
			}
			return nil
		},
	})
	first := make(chan error, 1)
	go func() { first <- p.Publish(context.Background(), queuetest.Order(1)) }()
	<-entered
	for i := range 20 {
		require.NoError(t, p.Publish(t.Context(), queuetest.Order(int64(2+i))))
	}
	require.Empty(t, first)
	close(free)
	require.NoError(t, <-first)
	require.NoError(t, p.Publish(t.Context(), queuetest.Order(30)), "the sender that was stuck takes its turn again")
}

func TestACallerThatGivesUpInTimeIsNotSent(t *testing.T) {
	t.Parallel()
	p, sent, release := held(t, 10)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, p.Publish(ctx, queuetest.Order(2)), rocketmq.ErrNotStored, "it was still waiting")
	release()
	require.NoError(t, p.Publish(t.Context(), queuetest.Order(3)))
	require.EqualValues(t, 2, sent.Load(), "orders 1 and 3")
}

func TestACallerThatGivesUpDuringTheSendIsUnknown(t *testing.T) {
	t.Parallel()
	b, _, p, _ := proxied(t, rocketmq.PublisherOptions{})
	b.cutAnswers()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	require.ErrorIs(t, p.Publish(ctx, queuetest.Order(1)), rocketmq.ErrUnknown)
	require.Less(t, time.Since(start), time.Second)
}

func TestClosingSendsWhatWaitsAndRefusesTheRest(t *testing.T) {
	t.Parallel()
	o, admin := made(t, nameServers(t))
	p := connected(t, o, rocketmq.PublisherOptions{})
	var wg sync.WaitGroup
	var stored atomic.Int64
	for i := range int64(300) {
		wg.Go(func() {
			if p.Publish(t.Context(), queuetest.Order(1+i)) == nil {
				stored.Add(1)
			}
		})
	}
	require.Eventually(t, func() bool { return stored.Load() > 0 }, 5*time.Second, time.Millisecond)
	require.NoError(t, p.Close(t.Context()))
	wg.Wait()
	require.Eventually(t, func() bool { return stored.Load() == total(t, admin) }, 5*time.Second, 10*time.Millisecond, "an outcome was wrong")
	require.ErrorIs(t, p.Publish(t.Context(), queuetest.Order(999)), rocketmq.ErrNotStored)
}

func TestAMissingTopicIsNotStored(t *testing.T) {
	t.Parallel()
	p := publisher(t, options(t, nameServers(t)), rocketmq.PublisherOptions{})
	require.ErrorIs(t, p.Publish(t.Context(), queuetest.Order(1)), rocketmq.ErrNotStored)
}
