//go:build e2e

package test

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// onlySoldOut checks that nobody was refused for another reason.
func (c *crowd) onlySoldOut(t *testing.T) {
	t.Helper()
	for code := range c.refused {
		require.Equal(t, "sold-out", code, "%v", c.refused)
	}
}

// mayWait is how long a shopper may be refused because Redis has lost the sale.
const mayWait = 15 * time.Second

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
	c := s.newSale(saleTerms{stock: stock}, stock+600)
	underLoad(c, 0.3, func() { require.NoError(t, s.rdb.FlushAll(t.Context()).Err()) })
	t.Logf("the longest that a shopper waited for an answer: %s", c.longest)
	c.prove(t, stock)
	c.onlySoldOut(t)
	require.Less(t, c.longest, mayWait)
	require.Equal(t, stock, c.ordersThat(t, "confirmed"), "everything is sold")
}

func TestAWipedSaleIsLoadedAgainWhileAnotherSellsOn(t *testing.T) {
	s := newShop(t, sharedServers(t), 2, 3)
	a, b := s.sale(saleTerms{stock: 2000}), s.sale(saleTerms{stock: 6000})
	ca, cb := s.crowd(a, s.tokens(1, 2500)), s.crowd(b, s.tokens(1, 6000))
	var wg sync.WaitGroup
	wg.Go(func() { cb.arrive(pace / 2) })
	underLoad(ca, 0.3, func() { wipe(t, s.rdb, a) })
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
	c := s.newSale(saleTerms{stock: 2400}, 3000)
	underLoad(c, 0.3, func() {
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				out, code := command(t, s.env, "", "rebuild", c.sale, "--json")
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
	_, code = command(t, s.env, "", "rebuild", "four") // an external ID that no sale has
	require.Equal(t, 3, code)
}

func TestARedisThatCameBackOlderIsCaughtUpWithoutAStop(t *testing.T) {
	on := ownServers(t)
	s := newShop(t, maps.Clone(on.env), 2, 2)
	c := s.newSale(saleTerms{stock: 3600}, 4000)
	loads := func() (n int) {
		for _, p := range s.consumers {
			text, err := os.ReadFile(p.log)
			require.NoError(t, err)
			n += strings.Count(string(text), "sale loaded")
		}
		return n
	}
	before, redis := loads(), newServer(t, on.dir, "redis")
	var down time.Duration
	underLoad(c, 0.3, func() {
		time.Sleep(2500 * time.Millisecond) // something to lose
		start := time.Now()
		require.NoError(t, redis.kill())
		lost, err := redis.loseTail(2 * time.Second)
		require.NoError(t, err)
		require.Positive(t, lost, "bytes of the log were lost")
		on.up(t)
		down = time.Since(start)
	})
	t.Logf("redis was away for %s; the longest wait: %s", down, c.longest)
	c.prove(t, 3600)
	c.onlySoldOut(t)
	require.Less(t, c.longest, down+mayWait)
	require.Equal(t, before, loads(), "it needs no rebuild")
}

func TestTheAuditListsTheOrderThatDiffers(t *testing.T) {
	s := newShop(t, beside(t), 1, 1)
	c := s.newSale(saleTerms{stock: 100}, 3)
	c.buy(1)
	c.await(t, 10*time.Second)
	require.True(t, s.audit(c.sale).OK)

	watch := exec.Command(binary, "audit", c.sale, "--watch", "--json")
	watch.Env = s.env
	out, err := watch.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, watch.Start())
	rounds := json.NewDecoder(out)
	var round auditReport
	require.NoError(t, rounds.Decode(&round))
	require.True(t, round.OK)

	require.NoError(t, s.rdb.HDel(t.Context(), "seckill:{"+c.sale+"}:o", "2").Err())
	time.Sleep(5 * time.Second) // orders younger than that are not judged
	text, code := command(t, s.env, "", "audit", c.sale, "--json")
	require.Equal(t, 4, code)
	var r auditReport
	require.NoError(t, json.Unmarshal([]byte(text), &r))
	var id string
	require.NoError(t, s.db.QueryRow(`SELECT id FROM orders WHERE sale_id = ? AND shopper_id = '2'`, c.sale).Scan(&id))
	require.Len(t, r.Sales[0].Discrepancies, 1)
	d := r.Sales[0].Discrepancies[0]
	require.Equal(t, "not_in_redis "+id, d.Kind+" "+d.OrderID)
	require.Contains(t, d.Detail, "seckill rebuild "+c.sale)

	require.Eventually(t, func() bool {
		require.NoError(t, rounds.Decode(&round))
		return !round.OK
	}, 30*time.Second, time.Millisecond)
	require.NoError(t, watch.Process.Signal(syscall.SIGINT))
	_ = watch.Wait()
	require.Equal(t, 4, watch.ProcessState.ExitCode(), "the last round's")

	_, code = command(t, s.env, "", "rebuild", c.sale)
	require.Zero(t, code)
	text, code = command(t, s.env, "", "audit", c.sale)
	require.Zero(t, code, text)
	require.Contains(t, text, "ok: MySQL and Redis agree")
	_, code = command(t, s.env, "", "audit", "4711")
	require.Equal(t, 3, code)
}
