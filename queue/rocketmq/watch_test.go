package rocketmq

import (
	"maps"
	"slices"
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
		want   []int // the seconds in which it stalls, of ten
	}{
		"nothing waits":        {func(int) int64 { return 10 }, 10, 0, nil},
		"nothing came yet":     {func(int) int64 { return -1 }, 0, 0, nil},
		"messages wait":        {func(int) int64 { return 3 }, 10, 0, []int{5, 6, 7, 8, 9}},
		"the first one waits":  {func(int) int64 { return 0 }, 1, 0, []int{5, 6, 7, 8, 9}},
		"a handler is busy":    {func(int) int64 { return 3 }, 10, 1, nil},
		"it is being consumed": {func(s int) int64 { return int64(s) }, 100, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWatch(Options{}, newCaller(Options{}))
				var stalls []int
				for s := range 10 {
					if w.fallsBehind(t.Context(), &peer{}, Offsets{"a/0": c.next(s)}, Offsets{"a/0": c.end, "a/1": 99}, c.active) {
						stalls = append(stalls, s)
					}
					time.Sleep(time.Second)
				}
				require.Equal(t, c.want, stalls)
			})
		})
	}
}

func TestAQueueThatDeliveredNothingBeginsAtTheGroupsOffset(t *testing.T) {
	t.Parallel()
	addr, asked := brokerWith(t, map[int]answer{codeQueryCommitted: {ext: map[string]string{"offset": "3"}}})
	w := newWatch(Options{}, newCaller(Options{}))
	t.Cleanup(w.rpc.close)
	require.False(t, w.fallsBehind(t.Context(), &peer{addr: addr}, Offsets{"a/0": -1, "a/1": -1, "a/2": -1}, Offsets{"a/0": 5, "a/1": 3, "a/2": 0}, 0))
	require.Equal(t, []string{"a/0"}, slices.Collect(maps.Keys(w.behind)), "the others have nothing that waits")
	require.EqualValues(t, 3, w.behind["a/0"].next)
	require.Equal(t, []int{codeQueryCommitted, codeQueryCommitted}, asked(), "but of a queue that is empty")

	away := newWatch(Options{}, newCaller(Options{}))
	t.Cleanup(away.rpc.close)
	require.False(t, away.fallsBehind(t.Context(), &peer{addr: "127.0.0.1:1"}, Offsets{"a/0": -1}, Offsets{"a/0": 5}, 0))
	require.Empty(t, away.behind, "nobody knows")
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
