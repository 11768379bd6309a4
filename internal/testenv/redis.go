package testenv

import (
	"os/exec"
	"path/filepath"
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
