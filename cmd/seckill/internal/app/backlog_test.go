package app

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"seckill/internal/testenv"

	"github.com/stretchr/testify/require"
)

// lag is a queue that says how many wait, a second after it is asked.
type lag struct {
	waiting atomic.Int64
	away    atomic.Bool
}

func (l *lag) Lag(context.Context) (int64, error) {
	n := l.waiting.Load()
	time.Sleep(500 * time.Millisecond)
	if l.away.Load() {
		return 0, errors.New("away")
	}
	return n, nil
}

func TestTheBacklogCountsWhatWasSentSinceTheQueueWasAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := &lag{}
		b := newBacklog(q, 600, slog.New(slog.DiscardHandler))
		stop := testenv.Start(t, b.run)

		b.sent(601)
		require.True(t, b.over(), "at once, not when the queue is asked")
		q.waiting.Store(300) // half of them are settled
		time.Sleep(1250 * time.Millisecond)
		b.sent(200) // while it is being asked: not in the answer
		time.Sleep(500 * time.Millisecond)
		require.False(t, b.over(), "300 + 200")
		b.sent(101)
		require.True(t, b.over(), "300 + 200 + 101")

		q.away.Store(true)
		time.Sleep(5 * time.Second)
		require.True(t, b.over(), "the last answer stands, and what was sent after it")
		q.away.Store(false)
		q.waiting.Store(0)
		time.Sleep(2 * time.Second)
		require.False(t, b.over())
		stop()
	})
}
