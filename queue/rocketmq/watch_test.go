package rocketmq

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAQueueStallsWhenMessagesWaitAndNobodyIsBusy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		next   func(second int) int64 // behind the last delivered message
		end    int64
		active int64
		want   bool
	}{
		"nothing waits":        {func(int) int64 { return 10 }, 10, 0, false},
		"nothing came yet":     {func(int) int64 { return -1 }, 0, 0, false},
		"messages wait":        {func(int) int64 { return 3 }, 10, 0, true},
		"a handler is busy":    {func(int) int64 { return 3 }, 10, 1, false},
		"it is being consumed": {func(s int) int64 { return int64(s) }, 100, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWatch(Options{}, newCaller(Options{}))
				stalled := false
				for s := range 10 {
					stalled = w.fallsBehind(t.Context(), &peer{}, Offsets{"a/0": c.next(s)}, Offsets{"a/0": c.end, "a/1": 99}, c.active) || stalled
					time.Sleep(time.Second)
				}
				require.Equal(t, c.want, stalled)
			})
		})
	}
}

func TestAConsumerWithoutAPlaceIsReplacedAfterAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWatch(Options{}, newCaller(Options{}))
		require.False(t, w.left(false))
		time.Sleep(stallAfter - time.Second)
		require.False(t, w.left(false))
		require.False(t, w.left(true))
		time.Sleep(stallAfter - time.Second)
		require.False(t, w.left(false))
		time.Sleep(time.Second)
		require.True(t, w.left(false))
	})
}
