package stock_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"seckill/internal/testenv"
	"seckill/stock"
)

// as returns a client of the same server for a new user with these rights.
func as(t *testing.T, rdb *redis.Client, rights ...any) *redis.Client {
	t.Helper()
	require.NoError(t, rdb.Do(t.Context(), append([]any{"ACL", "SETUSER", "shop", "reset", "on", ">secret"}, rights...)...).Err())
	o := *rdb.Options()
	o.Username, o.Password, o.MaxRetries = "shop", "secret", -1
	c := redis.NewClient(&o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestARehearsalLeavesNothing(t *testing.T) {
	t.Parallel()
	rdb := testenv.RedisServer(t)
	for range 3 {
		require.NoError(t, stock.New(rdb).Rehearse(t.Context()))
	}
	require.Empty(t, rdb.Keys(t.Context(), "*").Val())

	// Killed after each of its commands: what is left has a time to live.
	for n := range 12 {
		ctx, kill := context.WithCancel(t.Context())
		hooked := redis.NewClient(rdb.Options())
		hooked.AddHook(&killer{left: n, kill: kill, alive: ctx})
		err := stock.New(hooked).Rehearse(ctx)
		require.NoError(t, hooked.Close())
		for _, key := range rdb.Keys(t.Context(), "*").Val() {
			ttl := rdb.PTTL(t.Context(), key).Val()
			require.Positive(t, ttl, "%s, killed after %d commands: %v", key, n, err)
			require.LessOrEqual(t, ttl, 30*time.Second)
		}
	}
	require.NotEmpty(t, rdb.Keys(t.Context(), "*").Val(), "some were killed between the first write and the last")
}

// killer is a process that is killed after some commands.
type killer struct {
	left  int
	kill  func()
	alive context.Context // of the process
}

func (k *killer) DialHook(next redis.DialHook) redis.DialHook { return next }

func (k *killer) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if k.alive.Err() != nil {
			cmd.SetErr(context.Canceled)
			return context.Canceled
		}
		err := next(ctx, cmd)
		if k.left--; k.left < 0 {
			k.kill()
		}
		return err
	}
}

func (k *killer) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func TestARehearsalFailsWhereverAPurchaseWould(t *testing.T) {
	t.Parallel()
	for says, c := range map[string]struct {
		settings []string
		change   func(t *testing.T, rdb *redis.Client) *redis.Client
	}{
		"NOREPLICAS": {settings: []string{"--min-replicas-to-write", "3"}},
		"OOM":        {settings: []string{"--maxmemory", "1mb", "--maxmemory-policy", "noeviction"}},
		"READONLY": {change: func(t *testing.T, rdb *redis.Client) *redis.Client {
			t.Helper()
			require.NoError(t, rdb.ReplicaOf(t.Context(), "127.0.0.1", "1").Err())
			return rdb
		}},
		"NOPERM": {change: func(t *testing.T, rdb *redis.Client) *redis.Client {
			t.Helper()
			return as(t, rdb, "~seckill:*", "+@all", "resetchannels")
		}},
		"NOPERM this user has no permissions to access one of the keys": {change: func(t *testing.T, rdb *redis.Client) *redis.Client {
			t.Helper()
			return as(t, rdb, "%R~seckill:*", "&seckill:*", "+@all")
		}},
		"NOPERM this user has no permissions to run the 'evalsha'": {change: func(t *testing.T, rdb *redis.Client) *redis.Client {
			t.Helper()
			return as(t, rdb, "~seckill:*", "&seckill:*", "+@all", "-@scripting")
		}},
		"no permissions to run the 'publish'": {change: func(t *testing.T, rdb *redis.Client) *redis.Client {
			t.Helper()
			return as(t, rdb, "~seckill:*", "&seckill:*", "+@all", "-publish")
		}},
		"no permissions to run the 'subscribe'": {change: func(t *testing.T, rdb *redis.Client) *redis.Client {
			t.Helper()
			return as(t, rdb, "~seckill:*", "&seckill:*", "+@all", "-subscribe")
		}},
		"The user executing the script can't run this command": {change: func(t *testing.T, rdb *redis.Client) *redis.Client {
			t.Helper()
			return as(t, rdb, "~seckill:*", "&seckill:*", "+@all", "-hincrby")
		}},
	} {
		t.Run(says, func(t *testing.T) {
			t.Parallel()
			rdb := testenv.RedisServer(t, c.settings...)
			if c.change != nil {
				rdb = c.change(t, rdb)
			}
			require.NoError(t, rdb.Ping(t.Context()).Err(), "which is all that was asked before")
			require.ErrorContains(t, stock.New(rdb).Rehearse(t.Context()), says)
		})
	}
}

// As behind a balancer that spreads connections over servers that are none of one Cluster.
func TestARehearsalHearsWhatItPublishes(t *testing.T) {
	t.Parallel()
	here, elsewhere := testenv.RedisServer(t), testenv.RedisServer(t)
	dials := 0
	o := *here.Options()
	o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dials++; dials == 1 { // the subscription
			addr = elsewhere.Options().Addr
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	rdb := redis.NewClient(&o)
	t.Cleanup(func() { _ = rdb.Close() })
	require.ErrorIs(t, stock.New(rdb).Rehearse(t.Context()), stock.ErrUnheard)
}

func TestARehearsalOnAClusterTriesEveryMaster(t *testing.T) {
	t.Parallel()
	nodes := testenv.RedisCluster(t, 2)
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{nodes[0].Addr}, MaxRetries: -1})
	t.Cleanup(func() { _ = rdb.Close() })
	require.NoError(t, stock.New(rdb).Rehearse(t.Context()))
	for _, n := range nodes {
		require.Empty(t, n.Keys(t.Context(), "*").Val())
		require.NotEmpty(t, n.InfoMap(t.Context(), "commandstats").Val()["Commandstats"]["cmdstat_unlink"], "it was tried")
	}
	for _, n := range nodes {
		require.NoError(t, n.ConfigSet(t.Context(), "min-replicas-to-write", "3").Err())
		err := stock.New(rdb).Rehearse(t.Context())
		require.ErrorContains(t, err, n.Addr)
		require.ErrorContains(t, err, "NOREPLICAS")
		require.NoError(t, n.ConfigSet(t.Context(), "min-replicas-to-write", "0").Err())
	}
}
