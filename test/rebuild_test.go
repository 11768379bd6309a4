//go:build e2e

package test

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// onlySoldOut: nobody was refused for a reason that does not hold.
func (c *crowd) onlySoldOut(t *testing.T) {
	t.Helper()
	for code := range c.refused {
		require.Equal(t, "sold-out", code, "%v", c.refused)
	}
}

// mayWait is how long a shopper may be refused because Redis has lost the sale.
const mayWait = 15 * time.Second

func redisOf(t *testing.T, env []string) *redis.Client {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: settingOf(t, env, "SECKILL_REDIS_ADDRS"), MaxRetries: -1})
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

func wipe(t *testing.T, rdb *redis.Client, sale string) {
	t.Helper()
	keys, err := rdb.Keys(t.Context(), "seckill:{"+sale+"}:*").Result()
	require.NoError(t, err)
	require.NotEmpty(t, keys)
	require.NoError(t, rdb.Del(t.Context(), keys...).Err())
}

func TestAFlushedRedisIsLoadedAgainInTheMiddleOfASale(t *testing.T) {
	s := newShop(t, maps.Clone(ownServers(t).env), 2, 3)
	stock := size(2400)
	sale := s.sale(saleTerms{stock: stock})
	c := s.crowd(sale, s.tokens(1, stock+600))
	rdb := redisOf(t, s.env)
	underLoad(c, 0.3, func() { require.NoError(t, rdb.FlushAll(t.Context()).Err()) })
	t.Logf("the longest that a shopper waited for an answer: %s", c.longest)
	c.prove(t, stock)
	c.onlySoldOut(t)
	require.Less(t, c.longest, mayWait)
	require.Equal(t, stock, c.count(t, `SELECT COUNT(*) FROM orders WHERE sale_id = ? AND status = 'confirmed'`), "everything is sold")
}

func TestAWipedSaleIsLoadedAgainWhileAnotherSellsOn(t *testing.T) {
	s := newShop(t, sharedServers(t), 2, 3)
	a, b := s.sale(saleTerms{stock: 2000}), s.sale(saleTerms{stock: 6000})
	ca, cb := s.crowd(a, s.tokens(1, 2500)), s.crowd(b, s.tokens(1, 6000))
	rdb := redisOf(t, s.env)
	var wg sync.WaitGroup
	wg.Go(func() { cb.come(pace / 2) })
	underLoad(ca, 0.3, func() { wipe(t, rdb, a) })
	wg.Wait()
	t.Logf("the longest wait: %s in the wiped sale, %s in the other", ca.longest, cb.longest)
	ca.prove(t, 2000)
	ca.onlySoldOut(t)
	cb.prove(t, 6000)
	require.Less(t, ca.longest, mayWait)
	require.Less(t, cb.longest, 3*time.Second)
	require.Zero(t, cb.refused["dependency-down"])
}

func TestARebuildByHandInTheMiddleOfASaleLosesNothing(t *testing.T) {
	s := newShop(t, beside(t), 2, 2)
	sale := s.sale(saleTerms{stock: 2400})
	c := s.crowd(sale, s.tokens(1, 3000))
	underLoad(c, 0.3, func() {
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				out, code := command(t, s.env, "", "rebuild", sale, "--json")
				if code != 0 {
					t.Errorf("rebuild: exit %d", code)
				}
				t.Log(strings.TrimSpace(out))
			})
		}
		wg.Wait()
	})
	t.Logf("the longest wait: %s", c.longest)
	c.prove(t, 2400)
	c.onlySoldOut(t)
	require.Less(t, c.longest, mayWait)

	_, code := command(t, s.env, "", "rebuild", "4711")
	require.Equal(t, 3, code)
	_, code = command(t, s.env, "", "rebuild", "four")
	require.Equal(t, 2, code)
}

func TestARedisThatCameBackOlderIsCaughtUpWithoutAStop(t *testing.T) {
	on := ownServers(t)
	s := newShop(t, maps.Clone(on.env), 2, 2)
	sale := s.sale(saleTerms{stock: 3600})
	c := s.crowd(sale, s.tokens(1, 4000))
	var down time.Duration
	underLoad(c, 0.3, func() {
		time.Sleep(2500 * time.Millisecond) // something to lose
		cut := time.Now().Add(-2 * time.Second)
		start := time.Now()
		on.kill(t, "redis")
		loseTail(t, filepath.Join(on.dir, "data", "redis"), cut)
		on.up(t)
		down = time.Since(start)
	})
	t.Logf("redis was away for %s; the longest wait: %s", down, c.longest)
	c.prove(t, 3600)
	c.onlySoldOut(t)
	require.Less(t, c.longest, down+mayWait)
	for _, p := range s.consumers {
		text, err := os.ReadFile(p.log)
		require.NoError(t, err)
		require.NotContains(t, string(text), "sale loaded", "it needs no rebuild")
	}
}

// loseTail cuts off what a dead Redis wrote after a moment.
func loseTail(t *testing.T, dir string, after time.Time) {
	t.Helper()
	size := func() (n int64) {
		files, err := filepath.Glob(filepath.Join(dir, "appendonlydir", "*"))
		require.NoError(t, err)
		for _, f := range files {
			info, err := os.Stat(f)
			require.NoError(t, err)
			n += info.Size()
		}
		return n
	}
	before := size()
	manifests, err := filepath.Glob(filepath.Join(dir, "appendonlydir", "*.manifest"))
	require.NoError(t, err)
	require.Len(t, manifests, 1)
	out, err := exec.Command("redis-check-aof", "--truncate-to-timestamp", strconv.FormatInt(after.Unix(), 10), manifests[0]).CombinedOutput()
	require.NoError(t, err, string(out))
	require.Less(t, size(), before, "nothing was lost: %s", out)
	t.Logf("%d of %d bytes of the log were lost", before-size(), before)
}

func TestTheAuditListsTheOrderThatDiffers(t *testing.T) {
	s := newShop(t, beside(t), 1, 1)
	sale := s.sale(saleTerms{stock: 100})
	c := s.crowd(sale, s.tokens(1, 3))
	c.buy(1)
	c.await(t, 10*time.Second)
	require.True(t, s.audit(sale).OK)

	watch := exec.Command(binary, "audit", sale, "--watch", "--json")
	watch.Env = s.env
	out, err := watch.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, watch.Start())
	rounds := json.NewDecoder(out)
	var round auditReport
	require.NoError(t, rounds.Decode(&round))
	require.True(t, round.OK)

	rdb := redisOf(t, s.env)
	require.NoError(t, rdb.HDel(t.Context(), "seckill:{"+sale+"}:o", "2").Err())
	time.Sleep(5 * time.Second) // orders younger than that are not judged
	text, code := command(t, s.env, "", "audit", sale, "--json")
	require.Equal(t, 4, code)
	var r auditReport
	require.NoError(t, json.Unmarshal([]byte(text), &r))
	var id string
	require.NoError(t, s.db.QueryRow(`SELECT id FROM orders WHERE sale_id = ? AND shopper_id = '2'`, sale).Scan(&id))
	require.Len(t, r.Sales[0].Discrepancies, 1)
	d := r.Sales[0].Discrepancies[0]
	require.Equal(t, "not_in_redis "+id, d.Kind+" "+d.OrderID)
	require.Contains(t, d.Detail, "seckill rebuild "+sale)

	require.Eventually(t, func() bool {
		require.NoError(t, rounds.Decode(&round))
		return !round.OK
	}, 30*time.Second, time.Millisecond)
	require.NoError(t, watch.Process.Signal(syscall.SIGINT))
	_ = watch.Wait()
	require.Equal(t, 4, watch.ProcessState.ExitCode(), "the last round's")

	_, code = command(t, s.env, "", "rebuild", sale)
	require.Zero(t, code)
	text, code = command(t, s.env, "", "audit", sale)
	require.Zero(t, code, text)
	require.Contains(t, text, "ok: MySQL and Redis agree")
	_, code = command(t, s.env, "", "audit", "4711")
	require.Equal(t, 3, code)
}
