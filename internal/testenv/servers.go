package testenv

import (
	"os/exec"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// Redis returns a client of the real Redis, closed at the end of the test. Other
// tests share the server: never flush it, and use a SaleID of your own.
func Redis(tb testing.TB) redis.UniversalClient {
	tb.Helper()
	addrs := split(setting(tb, "SECKILL_REDIS_ADDRS"))
	reach(tb, "Redis", addrs...)
	return client(tb, addrs)
}

// Miniredis returns a client of an in-process Redis that only this test uses.
func Miniredis(tb testing.TB) redis.UniversalClient {
	tb.Helper()
	return client(tb, []string{miniredis.RunT(tb).Addr()})
}

func client(tb testing.TB, addrs []string) redis.UniversalClient {
	tb.Helper()
	c := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: addrs})
	tb.Cleanup(func() { _ = c.Close() })
	if err := c.Ping(tb.Context()).Err(); err != nil {
		tb.Fatalf("Redis at %v: %v", addrs, err)
	}
	return c
}

// NameServers returns the host:port of each RocketMQ name server.
func NameServers(tb testing.TB) []string {
	tb.Helper()
	addrs := split(setting(tb, "SECKILL_ROCKETMQ_NAMESERVERS"))
	reach(tb, "RocketMQ name server", addrs...)
	return addrs
}

// Promtool returns the path of an installed promtool, or of the one that
// scripts/prometheus unpacked.
func Promtool(tb testing.TB) string {
	tb.Helper()
	if path, err := exec.LookPath("promtool"); err == nil {
		return path
	}
	path := upwards(tb, ".run/prometheus/usr/bin/promtool")
	if path == "" {
		missingf(tb, "no promtool: scripts/prometheus promtool --version fetches it")
	}
	return path
}
