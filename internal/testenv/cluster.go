package testenv

import (
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisNode is a master of a Redis Cluster.
type RedisNode struct {
	*redis.Client

	ID      string
	Addr    string
	Process *os.Process

	port, bus int
}

// RedisCluster starts a Redis Cluster of so many masters, which share the slots in
// order. It ends with the test.
func RedisCluster(tb testing.TB, masters int) []RedisNode {
	tb.Helper()
	nodes := make([]RedisNode, masters)
	for i := range nodes {
		nodes[i] = clusterNode(tb)
		must(tb, nodes[i].ClusterAddSlotsRange(tb.Context(), 16384*i/masters, 16384*(i+1)/masters-1).Err())
		must(tb, nodes[0].Do(tb.Context(), "cluster", "meet", "127.0.0.1", nodes[i].port, nodes[i].bus).Err())
	}
	for _, n := range nodes {
		until(tb, "the Redis Cluster is not up", func() bool {
			info, err := n.ClusterInfo(tb.Context()).Result()
			return err == nil && strings.HasPrefix(info, "cluster_state:ok") && strings.Contains(info, "cluster_size:"+strconv.Itoa(masters))
		})
	}
	return nodes
}

func clusterNode(tb testing.TB) RedisNode {
	tb.Helper()
	dir, port, bus := tb.TempDir(), freePorts(tb, 0), freePorts(tb, 0)
	server := exec.CommandContext(tb.Context(), redisServer(tb), "--port", strconv.Itoa(port), "--cluster-port", strconv.Itoa(bus),
		"--bind", "127.0.0.1", "--dir", dir, "--save", "", "--cluster-enabled", "yes", "--cluster-node-timeout", "60000", "--logfile", "log")
	server.Args[0] = "redis-server" // the binary acts by this name
	if err := server.Start(); err != nil {
		tb.Fatalf("start a Redis: %v", err)
	}
	tb.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	n := RedisNode{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Process: server.Process, port: port, bus: bus}
	n.Client = redis.NewClient(&redis.Options{Addr: n.Addr})
	tb.Cleanup(func() { _ = n.Close() })
	until(tb, "a node of the Redis Cluster does not answer", func() bool {
		id, err := n.ClusterMyID(tb.Context()).Result()
		n.ID = id
		return err == nil
	})
	return n
}

// until waits until a condition holds.
func until(tb testing.TB, message string, holds func() bool) {
	tb.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatal(message)
		}
	}
}
