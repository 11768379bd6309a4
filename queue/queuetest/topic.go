package queuetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/order"
	"seckill/queue"
)

// Topic is one empty topic of events.
type Topic struct {
	Publish func(ctx context.Context, ms []queue.EventMessage) error
	Read    func(ctx context.Context, fromStart bool, handle func([]queue.Message) error) error
}

// RunTopic runs the suite of topics of events; open returns one of its own for
// each test.
func RunTopic(t *testing.T, open func(t *testing.T) Topic) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Topic){
		"events of one order come out in their order":  eventsOrdered,
		"an event comes out as it went in":             eventsWhole,
		"a reader begins at the end or at the start":   readFrom,
		"readers do not disturb each other":            readersApart,
		"a reader ends with its context or its caller": readEnds,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// events returns n events of each of so many orders, in turn.
func events(orders, n int) (ms []queue.EventMessage) {
	for seq := 1; seq <= n; seq++ {
		for o := 1; o <= orders; o++ {
			id := order.ID(o << 9)
			ms = append(ms, queue.EventMessage{
				ID: fmt.Sprintf("7-%d-%d", seq, id), OrderID: id, Status: order.StatusConfirmed,
				Body: fmt.Appendf(nil, `{"id":"7-%d-%d","of":"%s"}`, seq, id, strings.Repeat("x", 500)),
			})
		}
	}
	return ms
}

// gather reads until so many messages came, from the start.
func gather(t *testing.T, topic Topic, n int) (ms []queue.Message) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, topic.Read(ctx, true, func(some []queue.Message) error {
		if ms = append(ms, some...); len(ms) >= n {
			cancel()
		}
		return nil
	}))
	require.Len(t, ms, n)
	return ms
}

func eventsOrdered(t *testing.T, topic Topic) {
	t.Helper()
	const orders, changes = 600, 6
	ms := events(orders, changes)
	require.NoError(t, topic.Publish(t.Context(), ms[:1000]))
	require.NoError(t, topic.Publish(t.Context(), ms[1000:]))
	last := map[string]int{}
	for _, m := range gather(t, topic, len(ms)) {
		part := strings.Split(m.ID, "-")
		seq, err := strconv.Atoi(part[1])
		require.NoError(t, err)
		require.Equal(t, last[part[2]]+1, seq, "order %s", part[2])
		last[part[2]] = seq
	}
	require.Len(t, last, orders)
}

func eventsWhole(t *testing.T, topic Topic) {
	t.Helper()
	ms := events(5, 1)
	ms[0].Body = []byte(`{"reference":"ä\u0001\u0002 限量"}`)
	ms[1].Body = []byte(strings.Repeat("long ", 100_000))
	require.NoError(t, topic.Publish(t.Context(), ms))
	got := map[string]string{}
	for _, m := range gather(t, topic, len(ms)) {
		got[m.ID] = string(m.Body)
		require.NotZero(t, m.StoredAt)
	}
	for _, m := range ms {
		require.Equal(t, string(m.Body), got[m.ID])
	}
}

func readFrom(t *testing.T, topic Topic) {
	t.Helper()
	ms := events(20, 2)
	require.NoError(t, topic.Publish(t.Context(), ms[:20]))
	gather(t, topic, 20)
	var mu sync.Mutex
	var late []string
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- topic.Read(ctx, false, func(some []queue.Message) error {
			mu.Lock()
			defer mu.Unlock()
			for _, m := range some {
				late = append(late, m.ID)
			}
			return nil
		})
	}()
	// It begins some time after it was called: a second event of an order comes
	// until it is seen.
	eventually(t, func() bool {
		require.NoError(t, topic.Publish(t.Context(), ms[20:]))
		mu.Lock()
		defer mu.Unlock()
		return len(late) > 0
	}, "nothing new is read")
	cancel()
	require.NoError(t, <-done)
	require.False(t, slices.ContainsFunc(late, func(id string) bool { return strings.HasPrefix(id, "7-1-") }), "what was there before")
}

func readersApart(t *testing.T, topic Topic) {
	t.Helper()
	ms := events(50, 1)
	require.NoError(t, topic.Publish(t.Context(), ms))
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { gather(t, topic, len(ms)) })
	}
	wg.Wait()
	gather(t, topic, len(ms))
}

func readEnds(t *testing.T, topic Topic) {
	t.Helper()
	enough := errors.New("enough")
	require.NoError(t, topic.Publish(t.Context(), events(5, 1)))
	require.ErrorIs(t, topic.Read(t.Context(), true, func([]queue.Message) error { return enough }), enough)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, topic.Publish(ctx, events(1, 1)), "nothing is stored for a caller who is gone")
}
