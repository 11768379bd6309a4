package rocketmq_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/testenv"
	"seckill/queue/rocketmq"
)

// subscribe runs a subscriber that acknowledges everything and counts it.
func subscribe(t *testing.T, o rocketmq.Options) (s *rocketmq.Subscriber, delivered chan int) {
	t.Helper()
	delivered = make(chan int, 100)
	s, err := rocketmq.NewSubscriber(o, rocketmq.SubscriberOptions{Handle: func(_ context.Context, batch []rocketmq.Message) error {
		delivered <- len(batch)
		return nil
	}})
	require.NoError(t, err)
	run(t, s.Run)
	return s, delivered
}

func TestABrokerThatCreatesNoGroupsGetsThemWithTheTopics(t *testing.T) {
	t.Parallel()
	nameServer, broker := testenv.Broker(t, "autoCreateSubscriptionGroup=false")
	o := rocketmq.Options{NameServers: []string{nameServer}, Topic: "orders", Group: "settlers", Namespace: "shop"}
	grouped, err := rocketmq.NewAdmin(o)
	require.NoError(t, err)
	defer grouped.Close()
	ungrouped := o
	ungrouped.Group = ""
	topics, err := rocketmq.NewAdmin(ungrouped)
	require.NoError(t, err)
	defer topics.Close()
	require.NoError(t, topics.EnsureTopics(t.Context(), 2))

	// As after an earlier version: topics, and no group.
	require.ErrorIs(t, grouped.TryReceive(t.Context()), rocketmq.ErrNoGroup)
	require.ErrorContains(t, grouped.TryReceive(t.Context()), "subscription group [shop%settlers] does not exist")
	require.ErrorIs(t, grouped.TryBoth(t.Context()), rocketmq.ErrNoGroup)
	_, err = grouped.Group(t.Context())
	require.ErrorIs(t, err, rocketmq.ErrNoGroup)
	require.NoError(t, grouped.TrySend(t.Context()))
	s, _ := subscribe(t, o)
	require.Eventually(t, func() bool { return s.Client() != "" }, 10*time.Second, 10*time.Millisecond)
	require.False(t, s.Joined())

	require.NoError(t, grouped.EnsureTopics(t.Context(), 2))
	require.NoError(t, grouped.EnsureTopics(t.Context(), 2), "again")
	require.NoError(t, grouped.TryBoth(t.Context()))
	require.Eventually(t, s.Joined, 40*time.Second, 100*time.Millisecond)
	g, err := grouped.Group(t.Context())
	require.NoError(t, err)
	require.Len(t, g.Members, 1)
	require.True(t, g.Members[0].Is(s.Client()))
	require.Empty(t, g.Foreign)

	// A person who watches events needs a group as well.
	watching, stop := context.WithTimeout(t.Context(), time.Second)
	defer stop()
	r, err := rocketmq.NewReader(o)
	require.NoError(t, err)
	require.NoError(t, r.Read(watching, true, func([]rocketmq.Message) error { return errors.New("nothing was sent") }))

	// Another program in the group, with another topic.
	other := o
	other.Topic = "other"
	others, err := rocketmq.NewAdmin(other)
	require.NoError(t, err)
	defer others.Close()
	require.NoError(t, others.EnsureTopics(t.Context(), 1))
	strange, _ := subscribe(t, other)
	require.Eventually(t, func() bool {
		g, err = grouped.Group(t.Context())
		require.NoError(t, err)
		return len(g.Members) == 2 && len(g.Foreign) > 0
	}, 20*time.Second, 20*time.Millisecond)
	require.Equal(t, []string{"shop%other *"}, g.Foreign)
	require.NotEqual(t, s.Client(), strange.Client())

	// What the broker forbids.
	testenv.AskBroker(t, broker, testenv.BrokerConfig, nil, "brokerPermission=4")
	require.ErrorIs(t, grouped.TrySend(t.Context()), rocketmq.ErrPermission)
	require.NoError(t, grouped.TryReceive(t.Context()))
	testenv.AskBroker(t, broker, testenv.BrokerConfig, nil, "brokerPermission=2")
	require.ErrorIs(t, grouped.TryReceive(t.Context()), rocketmq.ErrPermission)
}

func TestTryingASendLeavesNothingInTheTopic(t *testing.T) {
	t.Parallel()
	o, admin := made(t, nameServers(t))
	_, delivered := subscribe(t, o)
	for range 3 {
		require.NoError(t, admin.TryBoth(t.Context()))
	}
	end, err := admin.MaxOffsets(t.Context())
	require.NoError(t, err)
	for queue, n := range end {
		require.Zero(t, n, queue)
	}
	require.Empty(t, delivered)
	lost := o
	lost.Topic += "x"
	none, err := rocketmq.NewAdmin(lost)
	require.NoError(t, err)
	defer none.Close()
	require.ErrorIs(t, none.TrySend(t.Context()), rocketmq.ErrNoTopic)
	require.ErrorIs(t, none.TryReceive(t.Context()), rocketmq.ErrNoTopic)
	require.NotErrorIs(t, none.TrySend(t.Context()), rocketmq.ErrPermission)
}
