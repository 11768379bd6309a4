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

// RedisCluster starts a Redis Cluster of two masters for one test: the first has the
// slots below 8192, the second the others. Both end with the test.
func RedisCluster(tb testing.TB) (nodes [2]RedisNode) {
	tb.Helper()
	for i := range nodes {
		nodes[i] = clusterNode(tb)
	}
	for i, slots := range [][2]int{{0, 8191}, {8192, 16383}} {
		if err := nodes[i].ClusterAddSlotsRange(tb.Context(), slots[0], slots[1]).Err(); err != nil {
			tb.Fatalf("give slots to a node: %v", err)
		}
	}
	other := nodes[1]
	if err := nodes[0].Do(tb.Context(), "cluster", "meet", "127.0.0.1", other.port, other.bus).Err(); err != nil {
		tb.Fatalf("make a Redis Cluster: %v", err)
	}
	for _, n := range nodes {
		until(tb, "the Redis Cluster is not up", func() bool {
			info, err := n.ClusterInfo(tb.Context()).Result()
			known, err2 := n.ClusterShards(tb.Context()).Result()
			return err == nil && err2 == nil && len(known) == 2 && strings.HasPrefix(info, "cluster_state:ok")
		})
	}
	return nodes
}

func clusterNode(tb testing.TB) RedisNode {
	tb.Helper()
	dir, port, bus := tb.TempDir(), freePort(tb), freePort(tb)
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

func freePort(tb testing.TB) int {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("find a free port: %v", err)
	}
	defer func() { _ = l.Close() }()
	addr, _ := l.Addr().(*net.TCPAddr)
	return addr.Port
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
