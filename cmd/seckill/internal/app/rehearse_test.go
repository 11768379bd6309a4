package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"seckill/cmd/seckill/internal/checkup"
	"seckill/fleet"
	"seckill/internal/config"
	"seckill/internal/testenv"
	"seckill/order"
	"seckill/queue/rocketmq"
)

// rehearsing runs rehearsals of one part until the end of a test in virtual time.
func rehearsing(t *testing.T, logs *testenv.Logs, others []fleet.Instance, try func(context.Context) error) (*rehearsals, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	r := newRehearsals(reg, slog.New(slog.NewTextHandler(logs, nil)), nil, &part{name: "redis", try: try})
	r.others = func(context.Context) ([]fleet.Instance, error) { return others, nil }
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	go func() { _ = r.run(ctx) }()
	return r, reg
}

// aged returns an API without a fault that has run so long.
func aged(d time.Duration) fleet.Instance {
	said := time.Now()
	return fleet.Instance{Role: fleet.RoleAPI, StartedAt: said.Add(-d), SaidAt: said}
}

func failing(t *testing.T, reg *prometheus.Registry) bool {
	t.Helper()
	all, err := reg.Gather()
	require.NoError(t, err)
	return all[0].GetMetric()[0].GetGauge().GetValue() > 0
}

func TestAFaultThatAllAPIsHaveDegradesThemAndOneOfOneAPITakesItOut(t *testing.T) {
	t.Parallel()
	sick := errors.New("OOM command not allowed when used memory > 'maxmemory'")
	for name, c := range map[string]struct {
		others []fleet.Instance
		own    bool
	}{
		"alone":                {nil, false},
		"the others have it":   {[]fleet.Instance{{Fault: "redis: OOM"}, {BreakersOpen: []string{"redis"}}}, false},
		"another API can sell": {[]fleet.Instance{aged(time.Hour)}, true},
		"most can sell":        {[]fleet.Instance{{Fault: "redis: OOM"}, aged(time.Hour), aged(time.Hour)}, true},
		"too few can sell":     {[]fleet.Instance{{Fault: "redis: OOM"}, aged(time.Hour)}, false},
		"another one starts":   {[]fleet.Instance{{Fault: "redis: OOM"}, aged(joinWithin)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var cured atomic.Bool
				var logs testenv.Logs
				r, reg := rehearsing(t, &logs, c.others, func(context.Context) error {
					if cured.Load() {
						return nil
					}
					return sick
				})
				synctest.Wait()
				require.EqualError(t, r.fault(), "redis: "+sick.Error(), "at once")
				require.True(t, failing(t, reg))
				require.NoError(t, r.own(), "the others may not have noticed yet")
				require.False(t, r.tried(), "nor can a starting process know")
				time.Sleep(localAfter + rehearseEvery)
				synctest.Wait()
				require.True(t, r.tried())
				require.Equal(t, c.own, r.own() != nil)
				time.Sleep(3 * time.Minute)
				synctest.Wait()
				require.Equal(t, 4, strings.Count(logs.String(), "OOM"), "once a minute")
				cured.Store(true)
				time.Sleep(2 * rehearseEvery)
				synctest.Wait()
				require.NoError(t, r.own())
				require.NoError(t, r.fault())
				require.False(t, failing(t, reg))
				require.Contains(t, logs.String(), "succeeds again")
			})
		})
	}
}

func TestAPartThatHangsIsAFaultAndDelaysNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var logs testenv.Logs
		r, _ := rehearsing(t, &logs, nil, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		require.NoError(t, r.fault())
		time.Sleep(rehearseTimeout + time.Millisecond)
		synctest.Wait()
		require.ErrorContains(t, r.fault(), "deadline exceeded")
		require.Equal(t, []string{"rehearsal of redis: context deadline exceeded"}, r.lines())
	})
}

func TestAnErrorThatDoesNotLastIsNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		err := errors.New("x")
		try := lasting(10*time.Second, func(context.Context) error { return err })
		require.NoError(t, try(t.Context()))
		time.Sleep(9 * time.Second)
		require.NoError(t, try(t.Context()))
		time.Sleep(time.Second)
		require.ErrorIs(t, try(t.Context()), err)
		was := err
		err = nil
		require.NoError(t, try(t.Context()))
		err = was
		require.NoError(t, try(t.Context()), "it begins anew")
	})
}

type healthy struct{ notReady, fault error }

func (h healthy) ready() error      { return h.notReady }
func (h healthy) degraded() error   { return h.fault }
func (h healthy) details() []string { return []string{"detail"} }

func TestReadinessIsNotOKWhileNoOrderCanSucceed(t *testing.T) {
	t.Parallel()
	fault := errors.New("redis: NOREPLICAS Not enough good replicas to write.")
	for _, c := range []struct {
		health healthy
		query  string
		code   int
		says   string
	}{
		{healthy{}, "", http.StatusOK, "ok\n"},
		{healthy{}, "?strict", http.StatusOK, "ok\n"},
		{healthy{}, "?verbose", http.StatusOK, "detail\nok\n"},
		{healthy{fault: fault}, "", http.StatusOK, "degraded: " + fault.Error() + "\n"},
		{healthy{fault: fault}, "?strict", http.StatusServiceUnavailable, "degraded: " + fault.Error() + "\n"},
		{healthy{notReady: errors.New("stopping"), fault: fault}, "", http.StatusServiceUnavailable, "stopping\n"},
	} {
		w := httptest.NewRecorder()
		adminHandler("127.0.0.1:1", prometheus.NewRegistry(), c.health, nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz"+c.query, nil))
		require.Equal(t, c.code, w.Code, c)
		require.Equal(t, c.says, w.Body.String())
	}
}

// backendOf opens the servers of these settings.
func backendOf(t *testing.T, settings env) (config.Config, *backend) {
	t.Helper()
	var lines []string
	for name, value := range settings {
		lines = append(lines, "SECKILL_"+name+"="+value)
	}
	cfg, err := config.Load(lines, "")
	require.NoError(t, err)
	b, err := openBackend(cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(b.close)
	return cfg, b
}

// once tries all parts once, and returns the faults.
func once(t *testing.T, r *rehearsals) string {
	t.Helper()
	for _, p := range r.parts {
		r.rehearse(t.Context(), p)
	}
	if err := r.fault(); err != nil {
		return err.Error()
	}
	return ""
}

func TestBothRolesNoticeWhatTheirServersRefuse(t *testing.T) {
	t.Parallel()
	nameServer, broker := testenv.Broker(t, "autoCreateSubscriptionGroup=false")
	base := sharedBase(t)
	base["ROCKETMQ_NAMESERVERS"] = nameServer
	makeTopics(t, base)
	rdb, addr := startRedis(t)
	base["REDIS_ADDRS"] = addr
	log := slog.New(slog.DiscardHandler)
	roles := func(settings env) (api, consumer *rehearsals) {
		cfg, b := backendOf(t, settings)
		s, err := b.queue.subscriber(subscriberOptions{handle: func(context.Context, []rocketmq.Message) error { return nil }, drain: time.Second})
		require.NoError(t, err)
		return rehearseAPI(cfg, b, prometheus.NewRegistry(), log), rehearseConsumer(cfg, b, s, prometheus.NewRegistry(), log)
	}
	api, consumer := roles(base)
	require.Empty(t, once(t, api))
	require.Empty(t, once(t, consumer))

	require.NoError(t, rdb.ConfigSet(t.Context(), "min-replicas-to-write", "3").Err())
	require.Contains(t, once(t, api), "redis: write: NOREPLICAS")
	require.Contains(t, once(t, consumer), "redis: write: NOREPLICAS")
	require.NoError(t, rdb.ConfigSet(t.Context(), "min-replicas-to-write", "0").Err())

	testenv.AskBroker(t, broker, testenv.BrokerConfig, nil, "brokerPermission=4")
	require.Contains(t, once(t, api), "send: ")
	require.Contains(t, once(t, consumer), "events: ", "it sends those")
	testenv.AskBroker(t, broker, testenv.BrokerConfig, nil, "brokerPermission=6")
	require.Empty(t, once(t, api))

	// A group that nobody made: nothing is delivered, whatever the wait.
	base["ROCKETMQ_GROUP"] = "nobodys"
	_, consumer = roles(base)
	cfg, b := backendOf(t, base)
	rocket, ok := b.queue.(*rocketQueue)
	require.True(t, ok)
	shop := newFleet(cfg, b.redis)
	require.Contains(t, once(t, consumer), "subscription group [nobodys] does not exist")
	require.ErrorIs(t, rocket.hasConsumers(t.Context()), rocketmq.ErrNoGroup)
	makeTopics(t, base)
	require.Empty(t, once(t, consumer))
	require.ErrorContains(t, rocket.hasConsumers(t.Context()), "no consumer is connected to group nobodys")

	// A member that no process of ours is.
	subscribe(t, rocketmq.Options{NameServers: []string{nameServer}, Topic: base["ROCKETMQ_TOPIC"], Group: "nobodys"})
	require.NoError(t, rocket.hasConsumers(t.Context()))
	require.NoError(t, rocket.isOurs(t.Context(), shop, "me"), "whose heartbeats Redis does not take: nor those of others")
	self := fleet.NewMember(fleet.Options{
		Fleet: shop, Metrics: prometheus.NewRegistry(), Log: log, Self: fleet.Instance{Role: fleet.RoleConsumer},
		Limits: func(context.Context) (order.Limits, error) { return order.Limits{}, nil },
		Look:   func(i *fleet.Instance) fleet.Totals { i.QueueClient = "me"; return fleet.Totals{} },
		Apply:  func(order.Limits, int) error { return nil },
	})
	testenv.Start(t, self.Run)
	require.Eventually(t, func() bool {
		err := rocket.isOurs(t.Context(), shop, "me")
		return err != nil && strings.Contains(err.Error(), "none of the running consumers: ")
	}, 5*time.Second, 50*time.Millisecond)
}

func TestMembersOfAGroupAreComparedWithTheProcesses(t *testing.T) {
	t.Parallel()
	named := func(name string) fleet.Instance {
		return fleet.Instance{Role: fleet.RoleConsumer, QueueClient: name}
	}
	group := func(names ...string) (g rocketmq.Group) {
		for _, n := range names {
			g.Members = append(g.Members, rocketmq.Member{Client: "10.0.0.1@" + n, Addr: "10.0.0.1:5"})
		}
		return g
	}
	for name, c := range map[string]struct {
		group   rocketmq.Group
		running []fleet.Instance
		want    string
	}{
		"ours":                      {group("a", "b"), []fleet.Instance{named("a"), named("b"), {Role: fleet.RoleAPI}}, ""},
		"one that starts":           {group("a"), []fleet.Instance{named("a"), named("")}, ""},
		"one of an earlier version": {group("a", "b"), []fleet.Instance{named("a"), named("")}, ""},
		"more than those":           {group("a", "b", "c"), []fleet.Instance{named("a"), named("")}, "members that are none of the running consumers: 10.0.0.1@b from 10.0.0.1:5, 10.0.0.1@c from 10.0.0.1:5"},
		"many":                      {group("a", "b", "c", "d", "e", "f", "g"), nil, "members that are none of the running consumers: 10.0.0.1@a from 10.0.0.1:5, 10.0.0.1@b from 10.0.0.1:5, 10.0.0.1@c from 10.0.0.1:5, 10.0.0.1@d from 10.0.0.1:5, 10.0.0.1@e from 10.0.0.1:5 and 2 more"},
		"another subscription":      {rocketmq.Group{Foreign: []string{"T tag"}}, nil, "subscriptions to something else: T tag"},
	} {
		require.Equal(t, c.want, checkup.Foreign(c.group, c.running), name)
	}
}
