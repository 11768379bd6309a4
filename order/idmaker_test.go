package order_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
)

func TestIDsRiseAndAreMadeOnceByAllGoroutines(t *testing.T) {
	t.Parallel()
	m := order.NewIDMaker(8191)
	const makers, each = 8, 5000
	made := make([][]order.ID, makers)
	var wg sync.WaitGroup
	for i := range makers {
		wg.Go(func() {
			for range each {
				id, err := m.Next()
				if err != nil {
					t.Error(err)
				}
				made[i] = append(made[i], id)
			}
		})
	}
	wg.Wait()
	for _, ids := range made {
		require.True(t, slices.IsSorted(ids))
	}
	all := slices.Sorted(slices.Values(slices.Concat(made...)))
	require.Positive(t, all[0])
	require.Len(t, slices.Compact(all), makers*each)
}

func TestIDsOfTwoNodesDiffer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // one clock for both
		a, b := order.NewIDMaker(2), order.NewIDMaker(4)
		seen := make(map[order.ID]bool)
		for range 2000 { // more than a millisecond holds
			for _, m := range []*order.IDMaker{a, b} {
				id, err := m.Next()
				require.NoError(t, err)
				require.False(t, seen[id])
				seen[id] = true
			}
		}
	})
}

func TestAnIDCarriesItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		synctestYear := 30 * 365 * 24 * time.Hour // the bubble's clock begins before our epoch
		time.Sleep(synctestYear)
		m := order.NewIDMaker(5)
		time.Sleep(90 * time.Minute)
		id, err := m.Next()
		require.NoError(t, err)
		require.Equal(t, time.Now().UTC().Truncate(time.Millisecond), id.Time())
		parsed, err := order.ParseID(id.String())
		require.NoError(t, err)
		require.Equal(t, id, parsed)
	})
}

func TestAnIDMakerRetiresBeforeItsNumberComesRoundAgain(t *testing.T) {
	t.Parallel()
	m := order.NewIDMaker(100)
	m.Observe(100 + 7999)
	_, err := m.Next()
	require.NoError(t, err)
	m.Observe(100 + 8000)
	m.Observe(100)
	_, err = m.Next()
	require.ErrorIs(t, err, order.ErrNodeIDRetired)
}

func TestAnIDMakerRetiresWhenTheCounterNeverHadItsNumber(t *testing.T) {
	t.Parallel()
	m := order.NewIDMaker(100)
	require.True(t, m.Observe(100))
	require.False(t, m.Observe(99), "a restored server would give 100 to another process")
	_, err := m.Next()
	require.ErrorIs(t, err, order.ErrNodeIDRetired)
}

func TestOnlyCanonicalDecimalsAreIDs(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "0", "-1", "+1", "01", " 1", "1 ", "0x1", "1e3", "9223372036854775808"} {
		_, err := order.ParseID(s)
		require.ErrorIs(t, err, order.ErrInvalid, "%q", s)
	}
}
