package rocketmq_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
	"seckill/queue"
	"seckill/queue/queuetest"
	"seckill/queue/rocketmq"
)

// eventPublisher is one that is connected.
func eventPublisher(t *testing.T, o rocketmq.Options) *rocketmq.EventPublisher {
	t.Helper()
	p, err := rocketmq.NewEventPublisher(o)
	require.NoError(t, err)
	closing(t, p.Close)
	require.Eventually(t, p.Connected, 10*time.Second, 5*time.Millisecond)
	return p
}

func TestBrokerKeepsWhatEveryTopicMust(t *testing.T) {
	t.Parallel()
	servers := nameServers(t)
	queuetest.RunTopic(t, func(t *testing.T) queuetest.Topic {
		t.Helper()
		o, _ := made(t, servers)
		return queuetest.Topic{Publish: eventPublisher(t, o).Publish, Read: func(ctx context.Context, fromStart bool, handle func([]queue.Message) error) error {
			r, err := rocketmq.NewReader(o)
			require.NoError(t, err)
			return r.Read(ctx, fromStart, handle)
		}}
	})
}

func TestAReaderMovesNoConsumerGroup(t *testing.T) {
	t.Parallel()
	o, admin := made(t, nameServers(t))
	p := eventPublisher(t, o)
	ms := []queue.EventMessage{{ID: "1-1-512", OrderID: 512, Status: order.StatusPaid, Body: []byte("{}")}}
	require.NoError(t, p.Publish(t.Context(), ms))
	r, err := rocketmq.NewReader(o)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, r.Read(ctx, true, func([]queue.Message) error { cancel(); return nil }))
	lag, err := admin.Lag(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, lag)

	var mu sync.Mutex
	var got []queue.Message
	s, err := rocketmq.NewSubscriber(o, rocketmq.SubscriberOptions{Handle: func(_ context.Context, batch []queue.Message) error {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, batch...)
		return nil
	}})
	require.NoError(t, err)
	stop := run(t, s.Run)
	require.Eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return len(got) == 1 }, 20*time.Second, 10*time.Millisecond)
	stop()
	require.Equal(t, "1-1-512", got[0].ID, "the message's ID is the event's")
}

func TestEventsOfOneOrderGoToOneQueueWhoeverSends(t *testing.T) {
	t.Parallel()
	o, admin := made(t, nameServers(t))
	const id = order.ID(123456 << 9)
	for range 3 {
		p := eventPublisher(t, o)
		require.NoError(t, p.Publish(t.Context(), []queue.EventMessage{{ID: "1", OrderID: id, Body: []byte("{}")}, {ID: "2", OrderID: id, Body: []byte("{}")}}))
	}
	require.Eventually(t, func() bool {
		ends, err := admin.MaxOffsets(t.Context())
		require.NoError(t, err)
		used := 0
		for _, n := range ends {
			if n == 6 {
				used++
			} else if n != 0 {
				return false
			}
		}
		return used == 1
	}, 5*time.Second, 20*time.Millisecond)
}

// eventsOf are one of each of so many orders.
func eventsOf(orders int) (ms []queue.EventMessage) {
	for i := range orders {
		id := order.ID(i+1) << 9
		ms = append(ms, queue.EventMessage{ID: id.String(), OrderID: id, Status: order.StatusPaid, Body: []byte("{}")})
	}
	return ms
}

func TestEventsGoToQueuesThatCanBeWrittenTo(t *testing.T) {
	t.Parallel()
	o, admin := made(t, nameServers(t))
	admin.SetQueues(t.Context(), t, 8, 3)
	p := eventPublisher(t, o)
	require.NoError(t, p.Publish(t.Context(), eventsOf(100)), "five queues of eight are only read")
	require.Eventually(t, func() bool {
		ends, err := admin.MaxOffsets(t.Context())
		require.NoError(t, err)
		require.Len(t, ends, 8, "all are read")
		var used int
		var sum int64
		for _, n := range ends {
			sum += n
			used += min(1, int(n))
		}
		return used == 3 && sum == 100
	}, 5*time.Second, 20*time.Millisecond)
}

// TestATopicThatGrowsIsWrittenToAndReadAllOver has it grow under a publisher and
// a reader that have begun.
func TestATopicThatGrowsIsWrittenToAndReadAllOver(t *testing.T) {
	t.Parallel()
	o, admin := made(t, nameServers(t))
	p := eventPublisher(t, o.RefreshEvery(100*time.Millisecond))
	require.NoError(t, p.Publish(t.Context(), eventsOf(1)), "too early to be read")
	require.Eventually(t, func() bool { n, err := admin.Lag(t.Context()); return err == nil && n == 1 }, 5*time.Second, 10*time.Millisecond)

	r, err := rocketmq.NewReader(o.RefreshEvery(4 * time.Second)) // it refreshes its route last
	require.NoError(t, err)
	var now, events atomic.Int64 // read
	run(t, func(ctx context.Context) error {
		return r.Read(ctx, false, func(ms []queue.Message) error {
			for _, m := range ms {
				if m.ID == "now" {
					now.Add(1)
				} else {
					events.Add(1)
				}
			}
			return nil
		})
	})
	begun := func() bool {
		require.NoError(t, p.Publish(t.Context(), []queue.EventMessage{{ID: "now", OrderID: 1, Body: []byte("{}")}}))
		return now.Load() > 0
	}
	require.Eventually(t, begun, 10*time.Second, 250*time.Millisecond)

	admin.SetQueues(t.Context(), t, 16, 16)
	var sent int64
	require.Eventually(t, func() bool {
		require.NoError(t, p.Publish(t.Context(), eventsOf(200)))
		sent += 200
		ends, err := admin.MaxOffsets(t.Context())
		require.NoError(t, err)
		for q := range 16 {
			if ends[fmt.Sprintf("broker-a/%d", q)] == 0 {
				return false
			}
		}
		return true
	}, 20*time.Second, 100*time.Millisecond)
	require.Eventually(t, func() bool { return events.Load() == sent }, 10*time.Second, 20*time.Millisecond)
}

func TestWithoutABrokerNoEventIsStored(t *testing.T) {
	t.Parallel()
	o := options(t, []string{"127.0.0.1:1"})
	p, err := rocketmq.NewEventPublisher(o)
	require.NoError(t, err)
	defer p.Close(t.Context())
	began := time.Now()
	require.ErrorIs(t, p.Publish(t.Context(), []queue.EventMessage{{ID: "1", OrderID: 1}}), rocketmq.ErrNotStored)
	require.Less(t, time.Since(began), time.Second)
}
