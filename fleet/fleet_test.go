package fleet_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"seckill/fleet"
	"seckill/internal/testenv"
)

const soon = 5 * time.Second // for a busy machine

// name returns a unique name of a shop.
func name() string { return "test-" + strconv.FormatInt(testenv.SaleID(), 10) }

func TestEachProcessIsListedWithWhatItSaysOfItself(t *testing.T) {
	t.Parallel()
	f, m := fleet.New(testenv.Redis(t), name()), &limitStore{}
	m.set(3, "2")
	began := time.Now()
	consumer := join(t, f, m, fleet.RoleConsumer)
	join(t, f, m, fleet.RoleAPI)
	require.Eventually(t, func() bool {
		is := instances(t, f)
		return len(is) == 2 && is[0].Generation == 3 && is[1].Generation == 3
	}, soon, 5*time.Millisecond)
	is := instances(t, f)
	api := is[0]
	require.Regexp(t, `^api-[a-z0-9]{10}$`, api.ID)
	require.WithinDuration(t, began, api.StartedAt, soon)
	require.WithinDuration(t, time.Now(), api.SeenAt, soon, "by the clock of Redis, which is on this machine")
	require.WithinDuration(t, api.SeenAt, api.SaidAt, time.Second)
	require.Equal(t, fleet.Instance{
		ID: api.ID, Role: "api", Version: "1.2.3", Host: "host-1", PID: 7, Listen: "host-1:8080", AdminListen: "host-1:8081", Worker: 5,
		Generation: 3, StartedAt: api.StartedAt, SaidAt: api.SaidAt, SeenAt: api.SeenAt,
	}, api)
	require.Equal(t, fleet.RoleConsumer, is[1].Role)

	require.Empty(t, instances(t, fleet.New(testenv.Redis(t), name())), "another shop on the same Redis")
	require.Eventually(t, func() bool { return consumer.gauge("seckill_instances") == 1 }, soon, 10*time.Millisecond)
	consumer.stop()
	require.Equal(t, []string{"api"}, roles(t, f), "gone at once")
}

// onMiniredis returns a fleet on a Redis whose clock can be set.
func onMiniredis(t *testing.T) (*fleet.Fleet, *miniredis.Miniredis) {
	t.Helper()
	mini := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: mini.Addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = rdb.Close() })
	return fleet.New(rdb, name()), mini
}

func TestAProcessWithoutHeartbeatsIsGoneWithinTenSeconds(t *testing.T) {
	t.Parallel()
	for _, turn := range []time.Duration{10 * time.Second, -10 * time.Second} { // even if the clock is set back
		f, mini := onMiniredis(t)
		now := time.Now()
		mini.SetTime(now)
		join(t, f, &limitStore{}, fleet.RoleConsumer)
		require.Eventually(t, func() bool { return len(instances(t, f)) == 1 }, soon, time.Millisecond)
		mini.SetTime(now.Add(4 * time.Second))
		require.NotEmpty(t, instances(t, f), "some heartbeats may be late")
		mini.SetTime(now.Add(turn))
		require.Empty(t, instances(t, f))
		require.Eventually(t, func() bool { return len(instances(t, f)) == 1 }, soon, time.Millisecond, "it was only late")
	}
}

func TestAStoppedProcessLeavesNothingInRedis(t *testing.T) {
	t.Parallel()
	f, mini := onMiniredis(t)
	p := join(t, f, &limitStore{}, fleet.RoleConsumer)
	require.Eventually(t, func() bool { return len(mini.Keys()) == 2 }, soon, time.Millisecond)
	for _, key := range mini.Keys() {
		require.Positive(t, mini.TTL(key), "keys expire with the last process: %s", key)
	}
	p.stop()
	require.Empty(t, mini.Keys())
}

func TestAWipedRedisListsAllProcessesAgainAndNoneAssumesToBeAlone(t *testing.T) {
	t.Parallel()
	f, mini := onMiniredis(t)
	m := &limitStore{}
	m.set(1, "2")
	ps := []*process{join(t, f, m, fleet.RoleAPI), join(t, f, m, fleet.RoleAPI), join(t, f, m, fleet.RoleAPI)}
	for _, p := range ps {
		require.Eventually(t, func() bool { return p.now().apis == 3 }, soon, time.Millisecond)
	}
	var heard []int
	for _, p := range ps {
		heard = append(heard, len(p.all()))
	}
	mini.FlushAll()
	require.Eventually(t, func() bool { return len(instances(t, f)) == 3 }, soon, 5*time.Millisecond)
	time.Sleep(1500 * time.Millisecond) // each has subscribed again
	for i, p := range ps {
		require.Len(t, p.all(), heard[i], "the number did not change")
		require.Equal(t, inForce{1, "2", 3}, p.now(), "no limit is lost")
	}

	ps[2].stop()
	for _, p := range ps[:2] {
		require.Eventually(t, func() bool { return p.now().apis == 2 }, 2*soon, 5*time.Millisecond, "each has half of the limits then")
	}
	mini.SetError("away")
	time.Sleep(1500 * time.Millisecond)
	require.Equal(t, 2, ps[0].now().apis, "the last number stands")
}

func TestAllIsInOneSlotOfACluster(t *testing.T) {
	t.Parallel()
	rdb := testenv.RedisServer(t, "--cluster-enabled", "yes")
	require.Eventually(t, func() bool { return rdb.ClusterAddSlotsRange(t.Context(), 0, 16383).Err() == nil }, soon, 20*time.Millisecond)
	require.Eventually(t, func() bool { return rdb.Set(t.Context(), "x", 1, time.Second).Err() == nil }, soon, 20*time.Millisecond)

	f := fleet.New(rdb, name())
	p := join(t, f, &limitStore{}, fleet.RoleAPI)
	require.Eventually(t, func() bool { return len(instances(t, f)) == 1 }, soon, 5*time.Millisecond)
	p.stop()
	require.Empty(t, instances(t, f))
}
