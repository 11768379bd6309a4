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
		l := New(1, 3)
		for range 3 {
			_, ok := l.Take("ann")
			require.True(t, ok)
		}
		for i := range rateSets { // an eighth of the table
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
	s := rateSet{caller: [rateWays]uint64{1, 2, 3, 4, 5, 6, 7, 8}}
	for i := range s.full {
		s.full[i] = time.Duration(10 + (i+5)%rateWays)
	}
	at, known := s.find(9)
	require.False(t, known)
	require.EqualValues(t, 10, s.full[at])
	at, known = s.find(8)
	require.True(t, known)
	require.Equal(t, 7, at)
}
