package memory_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/queue"
	"seckill/queue/memory"
	"seckill/queue/queuetest"
)

func TestQueueKeepsWhatEveryQueueMust(t *testing.T) {
	t.Parallel()
	queuetest.Run(t, func(*testing.T) queuetest.Queue {
		q := memory.NewQueue()
		return queuetest.Queue{
			Publish: q.Publish, PublishBody: q.PublishBody,
			Subscribe: func(h queuetest.Handle) func(context.Context) error { return q.Subscribe(h).Run },
			Lag:       q.Lag, MaxOffsets: q.MaxOffsets, Committed: q.Committed,
		}
	})
}

func TestQueueRefusesWhatItCannotHold(t *testing.T) {
	t.Parallel()
	q := memory.NewQueue()
	q.Capacity = 2
	require.NoError(t, q.Publish(t.Context(), queuetest.Order(1)))
	require.NoError(t, q.Publish(t.Context(), queuetest.Order(2)))
	require.ErrorIs(t, q.Publish(t.Context(), queuetest.Order(3)), queue.ErrNotStored)
}
