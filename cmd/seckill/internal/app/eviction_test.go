package app

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"seckill/internal/testenv"
)

// policyServer responds to INFO with this policy, and to everything else with an
// error, like a Redis that allows little.
func policyServer(t *testing.T, policy *atomic.Value) string {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go answerInfo(conn, policy)
		}
	}()
	return ln.Addr().String()
}

func answerInfo(conn net.Conn, policy *atomic.Value) {
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		args, _ := strings.CutPrefix(lines.Text(), "*")
		var n int
		if _, err := fmt.Sscan(args, &n); err != nil {
			return
		}
		var words []string
		for range n {
			lines.Scan() // its length
			if !lines.Scan() {
				return
			}
			words = append(words, strings.ToLower(lines.Text()))
		}
		answer := "-ERR not allowed\r\n"
		if words[0] == "info" {
			body := fmt.Sprintf("# Memory\r\nused_memory:7\r\nmaxmemory:10\r\nmaxmemory_policy:%s\r\n", policy.Load())
			answer = fmt.Sprintf("$%d\r\n%s\r\n", len(body), body)
		}
		if _, err := io.WriteString(conn, answer); err != nil {
			return
		}
	}
}

func TestReadinessSaysThatRedisMayEvict(t *testing.T) {
	t.Parallel()
	var policy atomic.Value
	policy.Store("allkeys-lru")
	rdb := redis.NewClient(&redis.Options{Addr: policyServer(t, &policy), Protocol: 2})
	t.Cleanup(func() { _ = rdb.Close() })
	logged := &strings.Builder{}
	reg := prometheus.NewRegistry()
	e := newEviction(rdb, reg, slog.New(slog.NewTextHandler(logged, nil)))
	require.Equal(t, "redis eviction: not known yet", e.line())
	for range 2 {
		e.check(t.Context())
		require.Contains(t, e.line(), `WARNING: maxmemory-policy is "allkeys-lru"; set maxmemory-policy noeviction`)
	}
	require.Equal(t, 1, strings.Count(logged.String(), "allkeys-lru"), "logged once")
	require.Contains(t, exposed(t, reg), "\nseckill_redis_may_evict 1\n")
	require.Contains(t, exposed(t, reg), "\nseckill_redis_memory_used_bytes 7\n")
	require.Contains(t, exposed(t, reg), "\nseckill_redis_memory_max_bytes 10\n")
	policy.Store("noeviction")
	e.check(t.Context())
	require.Equal(t, "redis eviction: ok", e.line())
	require.Contains(t, exposed(t, reg), "\nseckill_redis_may_evict 0\n")
}

func TestTheServersOfTestsEvictNothing(t *testing.T) {
	t.Parallel()
	e := newEviction(testenv.Redis(t), prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	stop()
	require.NoError(t, e.run(ctx), "it stops")
	e.check(t.Context())
	require.Equal(t, "redis eviction: ok", e.line())
}
