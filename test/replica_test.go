//go:build e2e

package test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// promotion is a failover of Redis to a replica that is some seconds behind.
func promotion(rng *rand.Rand) fault {
	lag := time.Duration(1+rng.IntN(4)) * time.Second
	return fault{
		what: fmt.Sprintf("promote-%s-behind:redis", lag), lossy: true, breaks: true,
		begin: func(a *testbed) error { return a.promote(lag) },
	}
}

// promote starts a replica, cuts its wire, lets it fall behind for the time of
// lag, kills the master and puts the replica in its place: from then on the
// server named redis is the replica.
func (a *testbed) promote(lag time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	master := a.servers["redis"]
	addr := freeAddr(a.t)
	replica, err := master.emptyCopy("redis-replica", addr)
	if err != nil {
		return err
	}
	a.t.Cleanup(func() { a.note("end the replica", replica.kill()) })
	if err := replica.start(); err != nil {
		return err
	}
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	defer rdb.Close()
	wire := newLink(a.t, "replica>redis", a.redis)
	switch behind, err := follow(ctx, a.shop.rdb, rdb, wire.listen); {
	case err != nil:
		return err
	case !behind:
		return nil // the master is down just now: nothing to fall behind
	}
	if err := wire.poison("timeout"); err != nil {
		return err
	}
	time.Sleep(lag)
	if err := errors.Join(master.kill(), rdb.ReplicaOf(ctx, "NO", "ONE").Err()); err != nil {
		return err
	}
	master.become(replica)
	for _, h := range a.links {
		if strings.HasSuffix(h.name, ">redis") {
			err = errors.Join(err, h.lead(addr))
		}
	}
	return err
}

// follow makes a Redis the replica of the one at addr, and reports whether it
// has all that the master has within 10 seconds.
func follow(ctx context.Context, master, replica *redis.Client, addr string) (bool, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return false, err
	}
	_ = master.ConfigSet(ctx, "repl-diskless-sync-delay", "0").Err() // it may be down
	for range 100 {
		if err = replica.ReplicaOf(ctx, host, port).Err(); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond) // it has only just been started
	}
	if err != nil {
		return false, fmt.Errorf("make a replica: %w", err)
	}
	for range 100 {
		info, err := replica.Info(ctx, "replication").Result()
		if err != nil {
			return false, err
		}
		if strings.Contains(info, "master_link_status:up") {
			return true, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return false, nil
}

// emptyCopy is another Redis that runs as this one does, without data.
func (b *server) emptyCopy(name, addr string) (*server, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	t := &server{name: name, dir: b.dir, cwd: b.cwd, argv: slices.Clone(b.argv), env: b.env}
	data := filepath.Join(b.dir, "data", name)
	for i, arg := range t.argv {
		switch arg {
		case "--port":
			t.argv[i+1] = port
		case "--dir":
			t.argv[i+1] = data
		}
	}
	return t, errors.Join(os.RemoveAll(data), os.MkdirAll(data, 0o700))
}

// become makes b another process, for all who know b.
func (b *server) become(other *server) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.name, b.argv = other.name, other.argv
}

// lead directs the link to another server.
func (h *link) lead(upstream string) error {
	h.mu.Lock()
	h.upstream = upstream
	h.mu.Unlock()
	return h.heal()
}
