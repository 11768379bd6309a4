package memory_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

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

func TestSubscription_TriesAgainWithBackoffAndDrains(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := memory.NewQueue()
		for id := range int64(300) {
			require.NoError(t, q.Publish(t.Context(), queuetest.Order(id+1)))
		}
		ctx, stop := context.WithCancel(t.Context())
		var tries []time.Time
		settled := make(chan struct{})
		s := q.Subscribe(func(ctx context.Context, batch []queue.Message) error {
			if len(batch) == 256 { // fails ten times
				tries = append(tries, time.Now())
				if len(tries) <= 10 {
					return errors.New("away")
				}
				stop()
				close(settled)
				return nil
			}
			<-settled
			select {
			case <-time.After(9 * time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		require.NoError(t, s.Run(ctx))
		require.Len(t, tries, 11)
		for i := range 10 {
			wait := min(20*time.Millisecond<<i, 2*time.Second)
			require.InDelta(t, wait, tries[i+1].Sub(tries[i]), float64(wait/2), "the %d. time", i+1)
		}
		lag, err := q.Lag(t.Context())
		require.NoError(t, err)
		require.Zero(t, lag)
	})
}
