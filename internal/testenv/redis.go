package testenv

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisServer starts a Redis for one test, with settings as on its command line,
// waits until it answers, and returns a client. Both end with the test.
func RedisServer(tb testing.TB, settings ...string) *redis.Client {
	tb.Helper()
	dir := tb.TempDir()
	socket := filepath.Join(dir, "redis")
	server := exec.CommandContext(tb.Context(), redisServer(tb),
		append([]string{"--port", "0", "--unixsocket", socket, "--dir", dir, "--save", ""}, settings...)...)
	server.Args[0] = "redis-server" // the binary acts by this name
	if err := server.Start(); err != nil {
		tb.Fatalf("start a Redis: %v", err)
	}
	tb.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	rdb := redis.NewClient(&redis.Options{Network: "unix", Addr: socket})
	tb.Cleanup(func() { _ = rdb.Close() })
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := rdb.Ping(tb.Context()).Err()
		if err == nil {
			return rdb
		}
		if time.Now().After(until) {
			tb.Fatalf("the test's Redis does not answer: %v", err)
		}
	}
}

// RedisCluster starts a Cluster of so many masters, waits until all slots are served,
// and returns a client of each.
func RedisCluster(tb testing.TB, masters int) []*redis.Client {
	tb.Helper()
	nodes := make([]*redis.Client, masters)
	for i := range nodes {
		port := freePort(tb, 0, 10_000) // the second one is the Cluster's own
		RedisServer(tb, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--cluster-enabled", "yes")
		nodes[i] = redis.NewClient(&redis.Options{Addr: loopbackAt(port)})
		tb.Cleanup(func() { _ = nodes[i].Close() })
		first, last := 16384*i/masters, 16384*(i+1)/masters-1
		must(tb, nodes[i].ClusterAddSlotsRange(tb.Context(), first, last).Err())
		must(tb, nodes[0].ClusterMeet(tb.Context(), "127.0.0.1", strconv.Itoa(port)).Err())
	}
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		ready := 0
		for _, n := range nodes {
			if info := n.ClusterInfo(tb.Context()).Val(); strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_size:"+strconv.Itoa(masters)) {
				ready++
			}
		}
		if ready == masters {
			return nodes
		}
		if time.Now().After(until) {
			tb.Fatalf("the Cluster does not serve all slots")
		}
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatalf("%v", err)
	}
}

// redisServer returns the path of the program. redis-check-rdb is the same program,
// and is also installed without the server package.
func redisServer(tb testing.TB) string {
	tb.Helper()
	needsServers(tb)
	for _, name := range []string{"redis-server", "redis-check-rdb"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missingf(tb, "no redis-server: scripts/up installs it")
	return ""
}
