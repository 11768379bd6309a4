package fleet_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/fleet"
	"seckill/internal/testenv"
)

func TestOtherLimitsAreInForceWithinASecondWithoutRedis(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &limitStore{}
		m.set(1, "2")
		p := join(t, fleet.New(nowhere(t), "shop"), m, fleet.RoleAPI)
		defer p.stop()
		synctest.Wait()
		require.Equal(t, inForce{1, "2", 1}, p.now(), "at once; without heartbeats of others it is alone")
		for generation := uint64(2); generation < 20; generation++ {
			m.set(generation, "4")
			time.Sleep(time.Second)
			require.Equal(t, inForce{generation, "4", 1}, p.now())
			require.InDelta(t, float64(generation), p.gauge("seckill_limits_generation"), 0)
		}
		applied := len(p.all())
		time.Sleep(time.Minute)
		require.Len(t, p.all(), applied, "nothing is applied twice")
		require.InDelta(t, 78/.8, m.reads.Load(), 12)
	})
}

func TestAProcessStartsWithEverythingDownAndTakesTheLimitsOverLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &limitStore{}
		m.set(9, "3")
		m.away.Store(true)
		p := join(t, fleet.New(nowhere(t), "shop"), m, fleet.RoleConsumer)
		defer p.stop()
		time.Sleep(time.Minute)
		require.Empty(t, p.all(), "it uses its configuration")
		m.away.Store(false)
		time.Sleep(time.Second)
		require.Equal(t, []inForce{{9, "3", 1}}, p.all())
		m.away.Store(true)
		time.Sleep(time.Minute)
		require.Len(t, p.all(), 1, "the limits in force stay")
		m.away.Store(false)
		m.set(4, "1") // from a backup
		time.Sleep(time.Second)
		require.Equal(t, inForce{4, "1", 1}, p.now(), "MySQL decides")
	})
}

func TestAMessagePutsLimitsInForceAtOnceAndEachSaysSo(t *testing.T) {
	t.Parallel()
	rdb := testenv.Redis(t)
	f, m := fleet.New(rdb, name()), &limitStore{}
	m.set(1, "2")
	ps := []*process{join(t, f, m, fleet.RoleAPI), join(t, f, m, fleet.RoleConsumer)}
	for _, p := range ps {
		require.Eventually(t, func() bool { return p.now().generation == 1 }, soon, time.Millisecond)
	}
	time.Sleep(time.Second) // both are subscribed
	quick := 0
	for generation := uint64(2); generation < 12; generation++ {
		m.set(generation, "4")
		announced := time.Now()
		require.NoError(t, f.AnnounceLimits(t.Context(), generation))
		for done := false; !done; {
			done = true
			for _, i := range instances(t, f) {
				done = done && i.Generation == generation
			}
			require.Less(t, time.Since(announced), time.Second)
		}
		if time.Since(announced) < 100*time.Millisecond {
			quick++
		}
	}
	require.Greater(t, quick, 7, "polling alone takes 400 ms on average")
}

func TestLimitsThatAProcessRefusesInPartAreNotSaidToBeInForce(t *testing.T) {
	t.Parallel()
	f, _ := onMiniredis(t)
	m := &limitStore{}
	m.set(1, "2")
	p := join(t, f, m, fleet.RoleAPI)
	says := func(generation uint64, refused string) {
		t.Helper()
		require.Eventually(t, func() bool {
			is := instances(t, f)
			return len(is) > 0 && is[0].Generation == generation && (is[0].LimitsRefused != "") == (refused != "")
		}, soon, 5*time.Millisecond)
		i := instances(t, f)[0]
		require.Contains(t, i.LimitsRefused, refused)
		require.Equal(t, refused == "", i.Under(generation))
		require.InDelta(t, float64(generation), p.gauge("seckill_limits_generation"), 0)
	}
	says(1, "")
	m.set(2, "99")
	says(1, "consumer_workers: 99:; ?[2J too many")
	require.Equal(t, inForce{2, "99", 1}, p.now(), "the other limits are in force")

	join(t, f, m, fleet.RoleAPI)
	require.Eventually(t, func() bool { return p.now().apis == 2 }, soon, 5*time.Millisecond)
	says(1, "too many")
	m.set(3, strings.Repeat("9", 10_000))
	require.Eventually(t, func() bool { return p.now().generation == 3 }, soon, 5*time.Millisecond)
	require.Eventually(t, func() bool { return len(instances(t, f)[0].LimitsRefused) == 300 }, soon, 5*time.Millisecond)
	m.set(4, "5")
	says(4, "")
}
