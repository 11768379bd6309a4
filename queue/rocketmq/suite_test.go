package rocketmq_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/testenv"
	"seckill/queue/queuetest"
	"seckill/queue/rocketmq"
)

var topics atomic.Int64

// options are of a topic and a group of the test's own.
func options(tb testing.TB, servers []string) rocketmq.Options {
	tb.Helper()
	count := topics.Add(1)
	n := fmt.Sprintf("%d_%d_%d", os.Getpid(), time.Now().UnixNano(), count)
	o := rocketmq.Options{
		NameServers: servers, Topic: "T_" + n, ProbeTopic: "P_" + n, Group: "G_" + n,
		Log: slog.New(slog.DiscardHandler),
	}
	if count%2 == 0 { // half of the tests
		o.Namespace = "NS"
	}
	if os.Getenv("TEST_LOG") != "" {
		o.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return o
}

// made is options whose topics exist.
func made(tb testing.TB, servers []string) (rocketmq.Options, *rocketmq.Admin) {
	tb.Helper()
	o := options(tb, servers)
	admin, err := rocketmq.NewAdmin(o)
	require.NoError(tb, err)
	tb.Cleanup(admin.Close)
	require.NoError(tb, admin.EnsureTopics(tb.Context(), 8))
	removeTopics(tb, admin)
	return o, admin
}

// removeTopics removes the topics with the test.
func removeTopics(tb testing.TB, admin *rocketmq.Admin) {
	tb.Helper()
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		admin.RemoveTopics(ctx)
	})
}

func publisher(tb testing.TB, o rocketmq.Options, po rocketmq.PublisherOptions) *rocketmq.Publisher {
	tb.Helper()
	po.Signer = queuetest.Signer()
	p, err := rocketmq.NewPublisher(o, po)
	require.NoError(tb, err)
	closing(tb, p.Close)
	return p
}

// closing closes a publisher with the test.
func closing(tb testing.TB, end func(ctx context.Context) error) {
	tb.Helper()
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		require.NoError(tb, end(ctx))
	})
}

func connected(tb testing.TB, o rocketmq.Options, po rocketmq.PublisherOptions) *rocketmq.Publisher {
	tb.Helper()
	p := publisher(tb, o, po)
	require.Eventually(tb, p.Connected, 10*time.Second, 5*time.Millisecond)
	return p
}

// run runs a subscriber or a reader; stop ends it and waits.
func run(tb testing.TB, fn func(ctx context.Context) error) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	done := make(chan error, 1)
	go func() { done <- fn(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); require.NoError(tb, <-done) })
	tb.Cleanup(stop)
	return stop
}

func nameServers(tb testing.TB) []string {
	tb.Helper()
	return testenv.NameServers(tb)
}

func TestBrokerKeepsWhatEveryQueueMust(t *testing.T) {
	t.Parallel()
	servers := nameServers(t)
	queuetest.Run(t, func(t *testing.T) queuetest.Queue {
		t.Helper()
		o, admin := made(t, servers)
		p := connected(t, o, rocketmq.PublisherOptions{})
		return queuetest.Queue{
			Publish: p.Publish, PublishBody: p.PublishBody,
			Subscribe: func(h queuetest.Handle) func(context.Context) error {
				s, err := rocketmq.NewSubscriber(o, rocketmq.SubscriberOptions{Handle: h})
				require.NoError(t, err)
				return s.Run
			},
			Lag: admin.Lag, MaxOffsets: admin.MaxOffsets, Committed: admin.Committed,
		}
	})
}
