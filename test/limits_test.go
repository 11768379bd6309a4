//go:build e2e

package test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/admin"
)

// limits are what the process says of them.
func (o *operator) limits() (v admin.LimitsView) {
	o.t.Helper()
	require.NoError(o.t, json.Unmarshal([]byte(o.must(200, "GET", "limits", "").text), &v))
	return v
}

// instances are the processes that live, by where their admin listener is.
func (o *operator) instances() map[string]admin.InstanceView {
	o.t.Helper()
	var l struct {
		Items []admin.InstanceView `json:"items"`
	}
	require.NoError(o.t, json.Unmarshal([]byte(o.must(200, "GET", "instances", "").text), &l))
	byAddr := map[string]admin.InstanceView{}
	for _, i := range l.Items {
		byAddr[i.AdminListen] = i
	}
	return byAddr
}

// setLimits changes limits, and waits until every instance works under them,
// which must be within a second.
func (o *operator) setLimits(body string, instances int) {
	o.t.Helper()
	etag := o.must(200, "GET", "limits", "").etag
	d := o.must(200, "PATCH", "limits", body, "If-Match", etag)
	answered := time.Now()
	for {
		v := o.limits()
		lag := slices.ContainsFunc(v.Instances, func(i admin.GenerationView) bool { return i.Lags })
		if !lag && len(v.Instances) == instances && d.etag == strconv.Quote(strconv.FormatUint(v.Generation, 10)) {
			o.t.Logf("%s: in force in all %d instances %s after it was answered", body, instances, time.Since(answered))
			return
		}
		require.Less(o.t, time.Since(answered), time.Second, "%s: %+v", body, v.Instances)
		time.Sleep(2 * time.Millisecond)
	}
}

func TestLimitsChangeUnderLoadAndNoRequestFailsForIt(t *testing.T) {
	env := sharedServers(t)
	env["SECKILL_SHOPPER_RPS"], env["SECKILL_SHOPPER_BURST"] = "1000", "1000"
	s := newShop(t, env, 2, 2)
	const stock, shoppers = 6000, 9000
	c := s.newSale(saleTerms{stock: stock}, shoppers)
	alice := s.operator(s.apis[0], "alice")

	var odd sync.Map // answers that a change of limits could not explain
	bought := make(chan struct{})
	go func() {
		defer close(bought)
		each(shoppers, 60, func(i int) {
			before := time.Now()
			c.buyOne(i)
			if took := time.Since(before); took > 20*time.Second {
				odd.Store(i, took)
			}
		})
	}()
	running := func() bool {
		select {
		case <-bought:
			return false
		default:
			return true
		}
	}
	steps := []string{
		`{"shopper_rps":500,"shopper_burst":500}`,
		`{"consumer_workers":4}`,
		`{"buy_inflight":8,"poll_inflight":64,"held_polls":10}`,
		`{"consumer_workers":1,"drain_rate":1500}`,
		`{"buy_inflight":null,"poll_inflight":null,"held_polls":null,"backlog_limit":50000}`,
		`{"drain_rate":null,"consumer_workers":2}`,
	}
	done := 0
	for ; running() && done < 5*len(steps); done++ {
		alice.setLimits(steps[done%len(steps)], 4)
		time.Sleep(200 * time.Millisecond)
	}
	<-bought
	require.GreaterOrEqual(t, done, len(steps), "the whole crowd had its answers before all limits had changed")
	odd.Range(func(i, took any) bool { t.Errorf("shopper %v waited %v", i, took); return true })
	// The caps make the answer 503, after which a shopper comes again; nothing else may come of a change.
	require.Subset(t, []string{"sold-out"}, slices.Collect(maps.Keys(c.refused)), "%v", c.refused)
	require.Equal(t, shoppers-stock, c.refused["sold-out"])

	alice.setLimits(`{"drain_rate":null,"consumer_workers":3,"buy_inflight":null,"poll_inflight":null,"held_polls":null}`, 4)
	require.Eventually(t, func() bool {
		return s.consumers[0].metric(t, "seckill_consumer_workers") == 3 && s.consumers[1].metric(t, "seckill_consumer_workers") == 3
	}, 5*time.Second, 10*time.Millisecond)
	for _, p := range append(s.apis, s.consumers...) {
		require.InDelta(t, alice.limits().Generation, p.limitsGeneration(), 0)
	}
	var logged uint64
	require.NoError(t, s.db.QueryRow(`SELECT COUNT(*) FROM audit_log WHERE action = 'limits'`).Scan(&logged))
	require.Equal(t, alice.limits().Generation, logged+1, "each change is in the audit log")
	c.await(t, 60*time.Second)
	c.proveInvariants(t, stock, 1)
}

func TestOfTwoOperatorsAtTwoInstancesOneIsToldThatTheLimitsChanged(t *testing.T) {
	s := newShop(t, sharedServers(t), 2, 0)
	alice := s.operator(s.apis[0], "alice")
	bob := s.operator(s.apis[1], "bob")
	for round := range 10 {
		etag := alice.must(200, "GET", "limits", "").etag
		statuses := make(chan int, 2)
		for i, o := range []*operator{alice, bob} {
			go func() {
				d, err := o.send("PATCH", "limits", fmt.Sprintf(`{"buy_inflight":%d}`, 100+2*round+i), "If-Match", etag)
				if err != nil {
					d.status = 0
				}
				statuses <- d.status
			}()
		}
		require.ElementsMatch(t, []int{http.StatusOK, http.StatusPreconditionFailed}, []int{<-statuses, <-statuses})
	}
}

func TestTheCommandLineChangesLimitsUnderTheSameRulesAndInTheSameLog(t *testing.T) {
	s := newShop(t, sharedServers(t), 1, 1)
	alice := s.operator(s.apis[0], "alice")
	require.Eventually(t, func() bool { return len(alice.instances()) == 2 }, 5*time.Second, 10*time.Millisecond)
	var v admin.LimitsView
	get := func(args ...string) (code int) {
		out, code := command(t, s.env, "", append(args, "--json")...)
		v = admin.LimitsView{}
		if code == 0 {
			require.NoError(t, json.Unmarshal([]byte(out), &v), out)
		}
		return code
	}
	require.Equal(t, 2, get("limits", "set", "--consumer-workers=0", "--shopper-rps=-1"))
	require.Equal(t, 2, get("limits", "set", "--unset", "nonsense"))
	require.Equal(t, 2, get("limits", "set", "--shopper-rps=5", "--unset", "shopper-rps"))
	require.Equal(t, 2, get("limits", "set"))
	require.Zero(t, get("limits", "set", "--consumer-workers=8", "--shopper-rps=5"))
	// Of 8 connections 4 are for what else a consumer does.
	require.Eventually(t, func() bool { return s.consumers[0].metric(t, "seckill_consumer_workers") == 4 }, time.Second, 5*time.Millisecond)
	require.Equal(t, 1, get("limits", "set", "--drain-rate=5", "--if-generation=1"), "somebody changed them")
	require.Zero(t, get("limits", "set", "--unset", "shopper-rps,consumer_workers", "--if-generation=2"))
	require.Eventually(t, func() bool { return s.consumers[0].metric(t, "seckill_consumer_workers") == 2 }, time.Second, 5*time.Millisecond)
	require.Zero(t, get("limits", "get"))
	require.Equal(t, uint64(3), v.Generation)
	require.Equal(t, admin.FromConfiguration, v.Limits["consumer_workers"].From)
	require.Len(t, v.Instances, 2)
	out, code := command(t, s.env, "", "audit-log")
	require.Zero(t, code)
	require.Equal(t, 2, strings.Count(out, "cli:"), out)
}

func TestTheRateOfAShopperIsForAllAPIsTogether(t *testing.T) {
	env := beside(t)
	env["SECKILL_SHOPPER_RPS"], env["SECKILL_SHOPPER_BURST"] = "0.01", "12"
	s := newShop(t, env, 2, 0)
	c := s.newSale(saleTerms{stock: 1}, 4)
	alice := s.operator(s.apis[0], "alice")
	knows := func(p *process, apis float64) func() bool {
		return func() bool { return p.metric(t, `seckill_instances{role="api"}`) == apis }
	}
	// passed is how many of 100 requests of a shopper an API lets through.
	passed := func(shopper, api int) (n int) {
		one := &crowd{shop: &shop{urls: s.urls[api : api+1]}, tokens: c.tokens, client: c.client}
		for range 100 {
			a, err := one.ask(shopper, http.MethodGet, "/v1/orders/"+strings.Repeat("A", 32), "")
			require.NoError(t, err)
			if a.status != http.StatusTooManyRequests {
				n++
			}
		}
		return n
	}
	for _, p := range s.apis {
		require.Eventually(t, knows(p, 2), 5*time.Second, 10*time.Millisecond)
	}
	require.Equal(t, 6, passed(0, 0))
	require.Equal(t, 6, passed(0, 1))
	s.apis[1].terminate(20 * time.Second)
	require.Eventually(t, knows(s.apis[0], 1), 5*time.Second, 10*time.Millisecond, "a process that stops properly is gone at once")
	time.Sleep(4 * time.Second) // a smaller number takes effect a little later
	require.Equal(t, 12, passed(1, 0))
	alice.setLimits(`{"shopper_burst":30}`, 1)
	require.Equal(t, 30, passed(2, 0))
}

func TestInstancesComeAndGo(t *testing.T) {
	s := newShop(t, beside(t), 2, 1)
	alice := s.operator(s.apis[0], "alice")
	all := append(slices.Clone(s.apis), s.consumers...)
	require.Eventually(t, func() bool { return len(alice.instances()) == 3 }, 5*time.Second, 10*time.Millisecond)
	require.Eventually(t, func() bool { return alice.instances()[all[1].adminAddr()].Worker > 0 }, 5*time.Second, 10*time.Millisecond)
	is := alice.instances()
	for _, p := range all {
		i, ok := is[p.adminAddr()]
		require.True(t, ok)
		require.Equal(t, p.args[0], i.Role)
		require.Equal(t, p.cmd.Process.Pid, i.PID)
		require.Equal(t, uint64(1), i.Generation)
	}
	require.Equal(t, "http://"+is[s.apis[0].adminAddr()].Listen, s.urls[0])

	killed := time.Now()
	s.apis[1].kill()
	require.Eventually(t, func() bool { return len(alice.instances()) == 2 }, 10*time.Second, 20*time.Millisecond)
	t.Logf("gone %s after kill -9", time.Since(killed))
	out, code := command(t, s.env, "", "doctor", "--json")
	require.Zero(t, code, out)
	require.Contains(t, out, is[s.apis[0].adminAddr()].ID)
	require.NotContains(t, out, is[s.apis[1].adminAddr()].ID)

	s.consumers[0].terminate(20 * time.Second)
	require.Len(t, alice.instances(), 1, "a process that stops properly is gone at once")
	s.apis[1].start()
	require.Eventually(t, func() bool { return len(alice.instances()) == 2 }, 5*time.Second, 10*time.Millisecond)
}

// TestLimitsOutliveRedisAndAStartWithEverythingDown is on servers of its own,
// which it flushes, freezes and kills.
func TestLimitsOutliveRedisAndAStartWithEverythingDown(t *testing.T) {
	on := ownServers(t)
	s := newShop(t, maps.Clone(on.env), 1, 1)
	c := s.newSale(saleTerms{stock: 10}, 1)
	alice := s.operator(s.apis[0], "alice")
	alice.setLimits(`{"consumer_workers":3,"shopper_rps":7}`, 2)
	require.NoError(t, s.rdb.FlushAll(t.Context()).Err())
	require.Eventually(t, func() bool { return len(alice.instances()) == 2 }, 5*time.Second, 10*time.Millisecond)
	alice.setLimits(`{"consumer_workers":4}`, 2)
	require.EqualValues(t, "7", alice.limits().Limits["shopper_rps"].Value)

	servers := map[string]*server{}
	for _, name := range serverNames {
		servers[name] = newServer(t, on.dir, name)
	}
	require.NoError(t, servers["redis"].signal(syscall.SIGSTOP)) // it hangs
	changed := time.Now()
	d := alice.must(200, "PATCH", "limits", `{"consumer_workers":2}`, "If-Match", `"3"`)
	require.Equal(t, `"4"`, d.etag)
	require.Eventually(t, func() bool { return s.consumers[0].metric(t, "seckill_consumer_workers") == 2 }, 5*time.Second, 10*time.Millisecond)
	t.Logf("in force %s after it was asked for, without Redis", time.Since(changed))

	roles := []*process{s.apis[0], s.consumers[0]}
	for _, p := range roles {
		p.kill()
	}
	for _, name := range serverNames {
		require.NoError(t, servers[name].kill())
	}
	for _, p := range roles {
		require.NoError(t, p.launch())
		require.Eventually(t, func() bool { return p.limitsGeneration() == 0 }, 10*time.Second, 20*time.Millisecond, "it starts, as it is configured")
	}
	a, err := c.ask(0, http.MethodPost, "/v1/sales/"+c.sale+"/orders", `{}`)
	require.NoError(t, err)
	require.Equal(t, "dependency-down", a.body.Code, "it refuses, with Retry-After")
	require.NotEmpty(t, a.header.Get("Retry-After"))
	for _, name := range serverNames {
		require.NoError(t, servers[name].start())
	}
	for _, p := range roles {
		require.Eventually(t, func() bool { return p.limitsGeneration() == 4 && p.ready() }, 60*time.Second, 50*time.Millisecond, "it takes over the limits")
	}
	require.Eventually(t, func() bool { return len(alice.instances()) == 2 }, 10*time.Second, 50*time.Millisecond)
	require.EqualValues(t, "7", alice.limits().Limits["shopper_rps"].Value)
	c.buy(1)
	c.prove(t, 10)
}

// limitsGeneration is the one that the process says it works under; -1 while it
// cannot be asked.
func (p *process) limitsGeneration() float64 {
	text, err := p.scrape()
	if err != nil {
		return -1
	}
	return text.sum("seckill_limits_generation")
}
