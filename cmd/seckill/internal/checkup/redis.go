package checkup

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"seckill/fleet"
	"seckill/stock"
)

// node holds the fields of INFO of one Redis server.
type node map[string]string

func (n node) number(field string) int64 {
	v, err := strconv.ParseInt(n[field], 10, 64)
	if err != nil {
		return 0 // an old version does not have it
	}
	return v
}

// nodes reads INFO of every master.
func nodes(ctx context.Context, rdb redis.UniversalClient) ([]node, error) {
	all, _, err := ask(ctx, func(ctx context.Context) (all []node, err error) {
		cluster, ok := rdb.(*redis.ClusterClient)
		if !ok {
			text, err := rdb.Info(ctx).Result()
			return []node{parseInfo(text)}, err
		}
		var mu sync.Mutex
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
			text, err := c.Info(ctx).Result()
			mu.Lock()
			defer mu.Unlock()
			all = append(all, parseInfo(text))
			return err
		})
		return all, err
	})
	if err == nil && len(all) == 0 {
		err = errNoMaster
	}
	return all, err
}

var errNoMaster = errors.New("the Cluster has no master that serves slots")

func parseInfo(text string) node {
	n := node{}
	for line := range strings.Lines(text) {
		if field, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			n[field] = value
		}
	}
	return n
}

// EvictionAdvice is what to do about a Redis that may evict keys.
const EvictionAdvice = "set maxmemory-policy noeviction: an evicted sale has to be loaded again while it sells"

// Redis checks the server, or every master of a Cluster, and whether it keeps its
// data.
func Redis(ctx context.Context, rdb redis.UniversalClient) []Finding {
	all, err := nodes(ctx, rdb)
	if err != nil {
		return []Finding{down("redis", err, explainRedis(err))}
	}
	var found []Finding
	for i, n := range all {
		name := "redis"
		if len(all) > 1 {
			name = fmt.Sprintf("redis %d of %d", i+1, len(all))
		}
		found = append(found, redisVersion(name, n))
		found = append(found, redisNode(name, n)...)
	}
	return append(found, redisMode(rdb, all), redisOrders(ctx, rdb), Clock(ctx, "redis", func(ctx context.Context) (time.Time, error) { return rdb.Time(ctx).Result() }))
}

// redisMode compares the kind of server with the setting.
func redisMode(rdb redis.UniversalClient, all []node) Finding {
	const name = "redis mode"
	_, cluster := rdb.(*redis.ClusterClient)
	is := all[0]["redis_mode"] == "cluster"
	return rule(is != cluster && all[0]["redis_mode"] != "", Fail, name, fmt.Sprintf("set SECKILL_REDIS_CLUSTER=%v", is),
		"it is a Cluster: %v; SECKILL_REDIS_CLUSTER is %v", is, cluster)
}

// RedisOrders is the name of the finding about a Redis that takes no orders, and
// whatever else is written to it.
const RedisOrders = "redis orders"

// redisOrders rehearses an order, on every master.
func redisOrders(ctx context.Context, rdb redis.UniversalClient) Finding {
	const name = RedisOrders
	_, took, err := ask(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, stock.New(rdb).Rehearse(ctx) })
	if err != nil {
		return failure(name, explainRedis(err), "%s", err)
	}
	return well(name, "an order was reserved and undone, and its result published and heard, in %s", took.Round(time.Millisecond))
}

// oldestRedis is the first version whose scripts the tests run on.
const oldestRedis = 7

func redisVersion(name string, n node) Finding {
	version := n["redis_version"]
	major, _, _ := strings.Cut(version, ".")
	v, err := strconv.Atoi(major)
	return rule(err == nil && v < oldestRedis, Fail, name, "upgrade it to Redis 7 or later", "version %s, up for %s", version, time.Duration(n.number("uptime_in_seconds"))*time.Second)
}

func redisNode(name string, n node) []Finding {
	policy := n["maxmemory_policy"]
	return []Finding{
		rule(policy != "noeviction", Fail, name+" eviction", EvictionAdvice, "maxmemory-policy is %q", policy),
		replication(name+" replication", n),
		persistence(name+" persistence", n),
	}
}

func replication(name string, n node) Finding {
	if n["role"] != "master" {
		return failure(name, "connect to the master, or configure the Sentinels and SECKILL_REDIS_SENTINEL_MASTER", "it is a %s", n["role"])
	}
	if n.number("connected_slaves") == 0 {
		return well(name, "master without a replica: if its host is lost, sales are loaded again from MySQL")
	}
	return well(name, "master of %s", n["connected_slaves"])
}

func persistence(name string, n node) Finding {
	switch {
	case n["loading"] == "1":
		return failure(name, "wait until it is done", "it is loading its data")
	case n["aof_enabled"] == "1" && n["aof_last_write_status"] == "err":
		return failure(name, "its disk may be full; see its log. It refuses writes until it can write its log", "the last write of its append-only log failed")
	case n["rdb_last_bgsave_status"] == "err":
		return failure(name, "check its disk space, and its memory for a fork. With stop-writes-on-bgsave-error it refuses writes", "the last snapshot failed")
	case n["aof_enabled"] == "1":
		return well(name, "the append-only log is on")
	default:
		return warning(name, "set appendonly yes and appendfsync everysec for less waiting after a crash; no guarantee depends on it",
			"the append-only log is off: after a crash, orders come back from MySQL, and reservations from their messages")
	}
}

// bytesPerOrder is the size of a pending order in Redis; a settled one takes 94
// bytes (TestAnOrderTakesFewBytes in package stock).
const bytesPerOrder = 115

// Headroom checks whether Redis has memory for so many more orders.
func Headroom(ctx context.Context, rdb redis.UniversalClient, orders int64) Finding {
	const name = "redis memory"
	all, err := nodes(ctx, rdb)
	if err != nil {
		return failure(name, "see redis", "%s", err)
	}
	worst := well(name, "")
	for i, n := range all { // on a Cluster, any node may have the sale
		if f := headroom(name, n, orders); i == 0 || f.Level == Fail || f.Level == Warn && worst.Level == OK {
			worst = f
		}
	}
	return worst
}

func headroom(name string, n node, orders int64) Finding {
	used, limit, needed := n.number("used_memory"), n.number("maxmemory"), orders*bytesPerOrder
	detail := fmt.Sprintf("%s for %d orders to come, %s in use", size(needed), orders, size(used))
	if limit == 0 {
		limit = n.number("total_system_memory")
		detail += ", maxmemory is not set; its machine has " + size(limit)
		if limit == 0 || used+needed <= limit/2 {
			return warning(name, "set maxmemory below the free memory of its machine: the system kills a process that takes all of it", "%s", detail)
		}
	} else {
		detail += " of " + size(limit)
	}
	const advice = "give it more memory and raise maxmemory: a full Redis refuses every purchase"
	if used+needed > limit {
		return failure(name, advice, "%s", detail)
	}
	return rule((used+needed)*10 > limit*8, Warn, name, advice, "%s", detail)
}

// size formats a number of bytes.
func size(bytes int64) string {
	const mega = 1 << 20
	if bytes < mega {
		return fmt.Sprintf("%.1f KiB", float64(bytes)/1024)
	}
	return fmt.Sprintf("%.1f MiB", float64(bytes)/mega)
}

// RedisPools compares the connections that the processes may open with the limit
// of the server.
func RedisPools(ctx context.Context, rdb redis.UniversalClient, is []fleet.Instance) Finding {
	const name = "redis connections"
	all, err := nodes(ctx, rdb)
	if err != nil {
		return failure(name, "see redis", "%s", err)
	}
	used, most := 0, int64(0)
	for _, i := range is {
		used += i.MaxRedisConns + 2 // two more for subscriptions
	}
	for _, n := range all {
		if has := n.number("maxclients"); most == 0 || has < most {
			most = has
		}
	}
	if most == 0 {
		return well(name, "the running processes may open %d; the server does not report its limit", used)
	}
	return pools(name, "maxclients, or lower SECKILL_REDIS_POOL_SIZE", used, int(most))
}
