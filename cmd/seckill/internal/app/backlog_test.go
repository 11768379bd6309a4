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

// fakeQueue answers how many orders wait half a second after it is asked.
type fakeQueue struct {
	waiting atomic.Int64
	away    atomic.Bool
}

func (l *fakeQueue) Lag(context.Context) (int64, error) {
	n := l.waiting.Load()
	time.Sleep(500 * time.Millisecond)
	if l.away.Load() {
		return 0, errors.New("down")
	}
	return n, nil
}

func TestTheBacklogCountsWhatWasSentSinceTheQueueWasAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := &fakeQueue{}
		b := newBacklog(q, 600, slog.New(slog.DiscardHandler))
		stop := testenv.Start(t, b.run)

		b.sent(601)
		require.True(t, b.over(), "at once, before the queue is asked again")
		q.waiting.Store(300) // half of them are settled
		time.Sleep(1250 * time.Millisecond)
		b.sent(200) // during the call: not in the answer
		time.Sleep(500 * time.Millisecond)
		require.False(t, b.over(), "300 + 200")
		b.sent(101)
		require.True(t, b.over(), "300 + 200 + 101")

		q.away.Store(true)
		time.Sleep(5 * time.Second)
		require.True(t, b.over(), "the last answer stands, plus what was sent after it")
		q.away.Store(false)
		q.waiting.Store(0)
		time.Sleep(2 * time.Second)
		require.False(t, b.over())
		stop()
	})
}
