package rocketmq

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	client "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/stretchr/testify/require"
)

// fakeClient is a client consumer that delivers nothing by itself.
type fakeClient struct {
	client.PushConsumer

	commits int // calls of PersistConsumerOffset
	commit  error
	broken  bool // Shutdown panics
}

func (c *fakeClient) PersistConsumerOffset() error {
	c.commits++
	return c.commit
}

func (c *fakeClient) Suspend() {}

func (c *fakeClient) Shutdown() error {
	if c.broken {
		panic("never started")
	}
	return nil
}

// opened is an intake of a fake client and what it logs.
func opened(t *testing.T, c *fakeClient, handle func(context.Context, []Message) error) (*intake, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	s, err := NewSubscriber(Options{NameServers: []string{nobody}, Topic: "T", Group: "G", Log: slog.New(slog.DiscardHandler)}, SubscriberOptions{Handle: handle})
	require.NoError(t, err)
	s.opts.Log = slog.New(slog.NewTextHandler(&log, nil)) // not that of the client, which has one for all tests
	return &intake{
		s: s, client: c, handle: func(batch []Message) error { return handle(t.Context(), batch) }, opened: time.Now(),
		closing: make(chan struct{}), closed: make(chan struct{}), next: make(map[string]int64),
	}, &log
}

func handled(context.Context, []Message) error { return nil }

func delivery(topic string, offset int64) *primitive.MessageExt {
	return &primitive.MessageExt{Message: primitive.Message{Queue: &primitive.MessageQueue{Topic: topic, BrokerName: "a", QueueId: 1}}, QueueOffset: offset}
}

func TestADeliveryCountsAsProgressOfItsQueue(t *testing.T) {
	t.Parallel()
	in, _ := opened(t, &fakeClient{}, handled)
	queues := func(topic string) []*primitive.MessageQueue {
		return []*primitive.MessageQueue{{Topic: topic, BrokerName: "a", QueueId: 0}, {Topic: topic, BrokerName: "a", QueueId: 1}}
	}
	in.allocate("G", "me", queues("T"), []string{"me"})
	own, listed := in.progress()
	require.True(t, listed)
	require.Equal(t, Offsets{"a/0": -1, "a/1": -1}, own, "nothing was delivered yet")

	require.Empty(t, in.allocate("G", "me", nil, []string{"me"}), "a topic without a queue has none for us")
	in.allocate("G", "me", queues("%RETRY%G"), []string{"other"})
	own, listed = in.progress()
	require.True(t, listed, "what counts is the topic itself")
	require.Len(t, own, 2)

	for _, m := range []*primitive.MessageExt{delivery("T", 6), delivery("T", 5), delivery("%RETRY%G", 99), {}} {
		res, err := in.deliver(t.Context(), m)
		require.NoError(t, err)
		require.Equal(t, consumer.ConsumeSuccess, res)
	}
	own, _ = in.progress()
	require.Equal(t, Offsets{"a/0": -1, "a/1": 7}, own, "the next one after the last of the topic")
	require.EqualValues(t, 4, in.delivered.Load())
	require.Zero(t, in.s.active.Load(), "none is in progress any more: only then can a queue stall")

	in.allocate("G", "me", queues("T"), []string{"other"})
	_, listed = in.progress()
	require.False(t, listed)
}

func TestAFailedDeliveryIsHandledAgainAfterABackoff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var tried []time.Time
		in, _ := opened(t, &fakeClient{}, func(context.Context, []Message) error {
			if tried = append(tried, time.Now()); len(tried) <= 10 {
				return errors.New("not yet")
			}
			return nil
		})
		res, err := in.deliver(t.Context(), delivery("T", 0))
		require.NoError(t, err)
		require.Equal(t, consumer.ConsumeSuccess, res)
		require.Len(t, tried, 11)
		want := handleFirst
		for i := range 10 {
			waited := tried[i+1].Sub(tried[i])
			require.GreaterOrEqual(t, waited, want/2)
			require.Less(t, waited, want*3/2)
			want = min(2*want, handleMax)
		}
	})
}

func TestAConsumerCommitsWhatWasHandledAndAgainAtItsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &fakeClient{commit: errors.New("away")}
		in, log := opened(t, c, handled)
		in.persist()
		require.Zero(t, c.commits, "there is nothing to commit")
		_, err := in.deliver(t.Context(), delivery("T", 0))
		require.NoError(t, err)
		in.persist()
		in.persist()
		require.Equal(t, 2, c.commits, "until it succeeds")
		c.commit = nil
		in.persist()
		in.persist()
		require.Equal(t, 3, c.commits, "and not again")
		in.close(time.Second, func() { t.Error("nothing was in progress") })
		require.Equal(t, 4, c.commits, "the client may have lost what it sent")
		require.Empty(t, log.String())
		res, _ := in.deliver(t.Context(), delivery("T", 1))
		require.Equal(t, consumer.ConsumeRetryLater, res, "it is over")
	})
}

func TestAClientThatPanicsInItsShutdownIsLogged(t *testing.T) {
	t.Parallel()
	in, log := opened(t, &fakeClient{broken: true}, handled)
	in.shutDown()
	require.Contains(t, log.String(), "never started")
}

func TestConsumersThatDoNotHelpAreReplacedLessAndLessOften(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in, _ := opened(t, &fakeClient{}, handled)
		require.Equal(t, 2*reopenFirst, nextReopen(reopenFirst, in))
		require.Equal(t, reopenMax, nextReopen(reopenMax*2/3, in))
		time.Sleep(reopenMax)
		require.Equal(t, 2*reopenFirst, nextReopen(reopenFirst, in))
		time.Sleep(time.Nanosecond)
		require.Equal(t, reopenFirst, nextReopen(reopenMax, in), "it lasted")
		in.opened = time.Now()
		in.delivered.Add(1)
		require.Equal(t, reopenFirst, nextReopen(reopenMax, in), "it delivered")
	})
}

func TestAConsumerIsReplacedIfItHadItsTimeAndThereIsARoute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in, _ := opened(t, &fakeClient{}, handled)
		in.s.watch.routed = true
		time.Sleep(reopenFirst - 1)
		require.False(t, in.s.replaceable(in, reopenFirst))
		time.Sleep(time.Nanosecond)
		require.True(t, in.s.replaceable(in, reopenFirst))
		in.s.watch.routed = false
		require.False(t, in.s.replaceable(in, reopenFirst))
	})
}

func TestThatThereIsNoConnectionIsLoggedOnce(t *testing.T) {
	t.Parallel()
	in, log := opened(t, &fakeClient{}, handled)
	ctx, cancel := context.WithCancel(t.Context())
	logged := false
	in.s.warnOnce(ctx, &logged, errors.New("away"))
	in.s.warnOnce(ctx, &logged, errors.New("away"))
	require.Equal(t, 1, bytes.Count(log.Bytes(), []byte("consumer not connected")))
	cancel()
	logged = false
	in.s.warnOnce(ctx, &logged, ctx.Err())
	require.Equal(t, 1, bytes.Count(log.Bytes(), []byte("consumer not connected")), "the end is no fault")
}
