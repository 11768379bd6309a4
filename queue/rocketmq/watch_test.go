package rocketmq

import (
	"maps"
	"slices"
	"strings"
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

// routeTo is the answer of a name server: topic T is at broker a, which has four queues.
func routeTo(addr string) map[int]answer {
	return map[int]answer{codeRoute: {body: []byte(strings.ReplaceAll(oneBroker, "10.0.0.1:10911", addr))}}
}

// watching is the watch of topic T, and a consumer that has queue 2 of its broker.
func watching(t *testing.T) (*watch, *intake) {
	t.Helper()
	o := Options{Topic: "T", Group: "G"}
	w := newWatch(o, newCaller(o))
	t.Cleanup(w.rpc.close)
	return w, &intake{assigned: true, own: []string{"a/2"}, next: map[string]int64{"a/2": 5}}
}

func TestABrokerThatMovedOrCameBackNeedsANewConsumer(t *testing.T) {
	t.Parallel()
	end := map[int]answer{codeMaxOffset: {ext: map[string]string{"offset": "5"}}}
	first, asked := brokerWith(t, end)
	second, _ := brokerWith(t, end)
	away, _ := brokerWith(t, routeTo(nobody))
	at1, _ := brokerWith(t, routeTo(first))
	at2, _ := brokerWith(t, routeTo(second))
	w, in := watching(t)
	for i, step := range []struct {
		server, why string
		down        bool
	}{
		{at1, "", false},
		{at1, "", false},
		{at2, "the broker is back", false}, // it moved
		{at2, "", false},
		{nobody, "", false}, // no name server: the broker that is known
		{at1, "the broker is back", false},
		{away, "", true},
		{away, "", true},
		{nobody, "", true}, // not listed: no new consumer could be connected
		{at2, "the broker is back", false},
	} {
		w.opts.NameServers = []string{step.server}
		why := w.check(t.Context(), in, 0)
		require.Equal(t, step.why, why, "step %d", i)
		require.Equal(t, step.down, !w.brokers["a"].down.IsZero(), "step %d", i)
		require.Equal(t, step.server != nobody, w.routed, "step %d", i)
	}
	require.Len(t, asked(), 2*3, "the first queue, which shows that the broker is up, and ours")
}

func TestABrokenConnectionIsThatOfItsBroker(t *testing.T) {
	t.Parallel()
	w, _ := watching(t)
	w.brokers["a"], w.brokers["b"] = &peer{addr: "10.0.0.1:10911"}, &peer{addr: "10.0.0.2:10911"}
	w.lost("10.0.0.1:10911")
	require.False(t, w.brokers["a"].down.IsZero())
	require.True(t, w.brokers["b"].down.IsZero())
}

func TestABrokerThatIsGoneIsForgottenInTheEnd(t *testing.T) {
	t.Parallel()
	w, _ := watching(t)
	w.opts.NameServers = []string{nobody}
	w.brokers["up"] = &peer{}
	w.brokers["down"] = &peer{down: time.Now().Add(time.Minute - forgetAfter)}
	w.brokers["gone"] = &peer{down: time.Now().Add(-forgetAfter - time.Second)}
	w.refresh(t.Context())
	require.ElementsMatch(t, []string{"up", "down"}, slices.Collect(maps.Keys(w.brokers)))
}
