package rocketmq_test

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/queue/queuetest"
	"seckill/queue/rocketmq"
)

// counting runs a subscriber that counts what it is delivered, by ID.
type counting struct {
	mu      sync.Mutex
	seen    map[string]int
	rebuilt atomic.Int64
}

func count(t *testing.T, o rocketmq.Options) *counting {
	t.Helper()
	c := &counting{seen: make(map[string]int)}
	s, err := rocketmq.NewSubscriber(o, rocketmq.SubscriberOptions{
		Handle: func(_ context.Context, batch []rocketmq.Message) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			for _, m := range batch {
				c.seen[m.ID]++
			}
			return nil
		},
		Observe: func(event string, _ int) {
			if event == "rebuilt" {
				c.rebuilt.Add(1)
			}
		},
	})
	require.NoError(t, err)
	run(t, s.Run)
	return c
}

func (c *counting) has(ids ...int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		if c.seen[strconv.FormatInt(id, 10)] == 0 {
			return false
		}
	}
	return true
}

func TestConsumptionResumesSoonAfterTheConnectionBroke(t *testing.T) {
	t.Parallel()
	b, o, _, admin := proxied(t, rocketmq.PublisherOptions{})
	direct := o
	direct.NameServers = nameServers(t)
	p := connected(t, direct, rocketmq.PublisherOptions{})
	c := count(t, o)
	require.NoError(t, p.Publish(t.Context(), queuetest.Order(1)))
	require.Eventually(t, func() bool { n, err := admin.Lag(t.Context()); return err == nil && n == 0 && c.has(1) },
		10*time.Second, 50*time.Millisecond)

	b.refuse()
	b.accept() // the client itself would be silent for half a minute
	back := time.Now()
	for i := range int64(16) { // every queue
		require.NoError(t, p.Publish(t.Context(), queuetest.Order(10+i)))
	}
	require.Eventually(t, func() bool { return c.has(10, 13, 17, 21, 25) }, 15*time.Second, 10*time.Millisecond)
	t.Logf("consuming again after %v", time.Since(back).Round(10*time.Millisecond))
	require.Less(t, time.Since(back), 8*time.Second)
	require.EqualValues(t, 1, c.rebuilt.Load())
	require.Eventually(t, func() bool { n, err := admin.Lag(t.Context()); return err == nil && n == 0 },
		10*time.Second, 50*time.Millisecond)
	require.EqualValues(t, 1, c.rebuilt.Load(), "a consumer that works was replaced")
}

func TestConcurrentHandlersAreBounded(t *testing.T) {
	t.Parallel()
	o, _ := made(t, nameServers(t))
	p := connected(t, o, rocketmq.PublisherOptions{})
	for i := range int64(40) {
		require.NoError(t, p.Publish(t.Context(), queuetest.Order(1+i)))
	}
	var now, most, handled atomic.Int64
	s, err := rocketmq.NewSubscriber(o, rocketmq.SubscriberOptions{
		Handlers: 2,
		Handle: func(_ context.Context, batch []rocketmq.Message) error {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(50 * time.Millisecond)
			now.Add(-1)
			handled.Add(int64(len(batch)))
			return nil
		},
	})
	require.NoError(t, err)
	stop := run(t, s.Run)
	require.Eventually(t, func() bool { return handled.Load() == 40 }, 15*time.Second, 10*time.Millisecond)
	stop()
	require.EqualValues(t, 2, most.Load())
	require.ErrorIs(t, s.Run(t.Context()), rocketmq.ErrOptions, "it ran twice")
}

func TestAHandlerThatHangsIsLeftBehindWhenTheDrainIsOver(t *testing.T) {
	t.Parallel()
	o, admin := made(t, nameServers(t))
	p := connected(t, o, rocketmq.PublisherOptions{})
	require.NoError(t, p.Publish(t.Context(), queuetest.Order(1)))
	entered := make(chan struct{})
	var once sync.Once
	s, err := rocketmq.NewSubscriber(o, rocketmq.SubscriberOptions{
		DrainTimeout: 300 * time.Millisecond,
		Handle: func(ctx context.Context, _ []rocketmq.Message) error {
			once.Do(func() { close(entered) })
			<-ctx.Done()
			return ctx.Err()
		},
	})
	require.NoError(t, err)
	stop := run(t, s.Run)
	<-entered
	began := time.Now()
	stop()
	require.Less(t, time.Since(began), 5*time.Second, "still draining")
	n, err := admin.Lag(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, n, "it was acknowledged")
}

func TestASubscriberWaitsForItsTopic(t *testing.T) {
	t.Parallel()
	o := options(t, nameServers(t))
	c := count(t, o)
	admin, err := rocketmq.NewAdmin(o)
	require.NoError(t, err)
	t.Cleanup(admin.Close)
	_, err = admin.Lag(t.Context())
	require.Error(t, err)
	require.NoError(t, admin.EnsureTopics(t.Context(), 4))
	removeTopics(t, admin)
	p := connected(t, o, rocketmq.PublisherOptions{})
	require.NoError(t, p.Publish(t.Context(), queuetest.Order(1)))
	require.Eventually(t, func() bool { return c.has(1) }, 10*time.Second, 10*time.Millisecond)
}

func TestEnsureTopicsAddsQueuesAndNeverTakesAny(t *testing.T) {
	t.Parallel()
	_, admin := made(t, nameServers(t))
	for _, queues := range []int{8, 12, 4} {
		require.NoError(t, admin.EnsureTopics(t.Context(), queues))
	}
	require.Eventually(t, func() bool {
		end, err := admin.MaxOffsets(t.Context())
		return err == nil && len(end) == 12
	}, 5*time.Second, 20*time.Millisecond)
	require.NoError(t, admin.Ping(t.Context()))
}

func TestAdminSaysThatNobodyAnswers(t *testing.T) {
	t.Parallel()
	admin, err := rocketmq.NewAdmin(options(t, []string{"127.0.0.1:1"}))
	require.NoError(t, err)
	t.Cleanup(admin.Close)
	require.Error(t, admin.Ping(t.Context()))
	require.Error(t, admin.EnsureTopics(t.Context(), 8))
	require.NotErrorIs(t, admin.Ping(t.Context()), rocketmq.ErrOptions)
}
