package memory_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/queue"
	"seckill/queue/memory"
	"seckill/queue/queuetest"
)

func TestTopicKeepsWhatEveryTopicMust(t *testing.T) {
	t.Parallel()
	queuetest.RunTopic(t, func(t *testing.T) queuetest.Topic {
		topic := memory.NewTopic()
		return queuetest.Topic{Publish: topic.Publish, Read: topic.Read}
	})
}

func TestTopicForgetsTheOldest(t *testing.T) {
	t.Parallel()
	topic := memory.NewTopic()
	topic.Capacity = 3
	for _, id := range []string{"1", "2", "3", "4", "5"} {
		require.NoError(t, topic.Publish(t.Context(), []queue.EventMessage{{ID: id}}))
	}
	var ids []string
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, topic.Read(ctx, true, func(ms []queue.Message) error {
		for _, m := range ms {
			ids = append(ids, m.ID)
		}
		cancel()
		return nil
	}))
	require.Equal(t, []string{"3", "4", "5"}, ids)
}
