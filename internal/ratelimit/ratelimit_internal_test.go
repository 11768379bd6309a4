package ratelimit

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestACallerKeepsTheirBucketAmongManyOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const sets = 1 << 14
		l := New(1, 3, sets*ways)
		for range 3 {
			_, ok := l.Take("ann")
			require.True(t, ok)
		}
		for i := range sets { // an eighth of the table
			_, ok := l.Take(strconv.Itoa(i))
			require.True(t, ok, "a new caller has a full bucket")
		}
		late, ok := l.Take("ann")
		require.False(t, ok)
		require.Equal(t, time.Second, late)
		time.Sleep(late)
		_, ok = l.Take("ann")
		require.True(t, ok)
		_, ok = l.Take("ann")
		require.False(t, ok, "one token a second")
	})
}

func TestAFullSetForgetsTheBucketThatIsFullFirst(t *testing.T) {
	t.Parallel()
	s := set{caller: [ways]uint64{1, 2, 3, 4, 5, 6, 7, 8}}
	for i := range s.full {
		s.full[i] = time.Duration(10 + (i+5)%ways)
	}
	at, known := s.find(9)
	require.False(t, known)
	require.EqualValues(t, 10, s.full[at])
	at, known = s.find(8)
	require.True(t, known)
	require.Equal(t, 7, at)
}

func TestALimiterTakesMemoryForItsCallersOnceARateIsSet(t *testing.T) {
	t.Parallel()
	l := New(0, 0, 1<<17)
	require.False(t, l.On())
	_, ok := l.Take("ann")
	require.True(t, ok)
	require.Nil(t, l.sets)

	l.Set(1, 1)
	require.True(t, l.On())
	require.Len(t, l.sets, 1<<17/ways)
	_, ok = l.Take("ann")
	require.True(t, ok)
	l.Set(0, 0)
	_, ok = l.Take("ann")
	require.True(t, ok, "no limit")
	l.Set(1, 1)
	_, ok = l.Take("ann")
	require.False(t, ok, "ann keeps the bucket while there is no limit")

	for callers, sets := range map[int]int{0: 1, 1: 1, 8: 1, 9: 2, 16: 2, 17: 4, 1000: 128} {
		require.Len(t, New(1, 1, callers).sets, sets, "%d callers", callers)
	}
}
