package app

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"seckill/cmd/seckill/internal/checkup"
	"seckill/fleet"
	"seckill/internal/config"
	"seckill/internal/testenv"
	"seckill/queue/rocketmq"
)

// fault is one thing that is wrong with one server.
type fault struct {
	// change makes it, and returns the settings that differ from the healthy ones.
	change  func(t *testing.T) map[string]string
	finding string // the one that must name it
	says    string // in the detail
	cure    string // in the advice
}

// env are settings by their names without SECKILL_.
type env map[string]string

// examine runs the doctor.
func examine(t *testing.T, settings env) []checkup.Finding {
	t.Helper()
	var lines []string
	for name, value := range settings {
		lines = append(lines, "SECKILL_"+name+"="+value)
	}
	cfg, err := config.Load(lines, "")
	require.NoError(t, err)
	var found []checkup.Finding
	require.NoError(t, WithCheckup(cfg, slog.New(slog.DiscardHandler), func(i fleet.Instance) string { return i.ID }, func(c *Checkup) error {
		found = c.Doctor(t.Context())
		return nil
	}))
	return found
}

// diagnose makes each fault in turn and requires that the doctor, for whom all was well
// before, names it and its cure.
func diagnose(t *testing.T, healthy env, faults map[string]fault) {
	t.Helper()
	for _, f := range examine(t, healthy) {
		require.True(t, f.OK, "before anything is wrong: %+v", f)
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			wrong := maps.Clone(healthy)
			maps.Copy(wrong, fault.change(t))
			found := examine(t, wrong)
			for _, f := range found {
				if f.Name == fault.finding {
					require.NotEqual(t, checkup.OK, f.Level, "%+v", f)
					require.Contains(t, f.Detail, fault.says)
					require.Contains(t, f.Detail+" "+f.Advice, fault.cure)
					return
				}
			}
			require.Fail(t, "no finding "+fault.finding, "%s", bad(found))
		})
	}
}

// bad returns the findings that are not well.
func bad(found []checkup.Finding) (all []string) {
	for _, f := range found {
		if f.Level != checkup.OK {
			all = append(all, f.Name+": "+f.Detail)
		}
	}
	return all
}

// sharedBase returns settings of three healthy servers: a database, a Redis and topics of our own.
func sharedBase(t *testing.T) env {
	t.Helper()
	db := testenv.MySQL(t)
	var name string
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT DATABASE()").Scan(&name))
	var dsn string
	cfg := testenv.MainDSN(t)
	cfg.DBName = name
	dsn = cfg.FormatDSN()
	topic := "doctor-" + strconv.FormatInt(testenv.SaleID(), 10)
	base := env{
		"MYSQL_DSN": dsn, "REDIS_ADDRS": redisAt(t), "ROCKETMQ_NAMESERVERS": strings.Join(testenv.NameServers(t), ","),
		"ROCKETMQ_TOPIC": topic, "ROCKETMQ_GROUP": topic, "ROCKETMQ_EVENT_TOPIC": topic + "-events",
	}
	makeTopics(t, base)
	return base
}

func makeTopics(t *testing.T, base env) {
	t.Helper()
	require.NoError(t, MakeTopics(t.Context(), config.RocketMQ{
		NameServers: strings.Split(base["ROCKETMQ_NAMESERVERS"], ","), Topic: base["ROCKETMQ_TOPIC"], Group: base["ROCKETMQ_GROUP"],
		EventTopic: base["ROCKETMQ_EVENT_TOPIC"], Queues: 2, AccessKey: base["ROCKETMQ_ACCESS_KEY"], SecretKey: base["ROCKETMQ_SECRET_KEY"],
	}, slog.New(slog.DiscardHandler)))
}

// redisAt starts a Redis and returns its address.
func redisAt(t *testing.T, settings ...string) string {
	t.Helper()
	_, addr := startRedis(t, settings...)
	return addr
}

func startRedis(t *testing.T, settings ...string) (rdb *redis.Client, addr string) {
	t.Helper()
	port := strconv.Itoa(testenv.FreePort(t))
	return testenv.RedisServer(t, append([]string{"--port", port, "--bind", "127.0.0.1", "--appendonly", "yes"}, settings...)...), "127.0.0.1:" + port
}

func TestTheDoctorNamesWhatIsWrongWithRedisAndTheCure(t *testing.T) {
	t.Parallel()
	set := func(settings ...string) func(*testing.T) map[string]string {
		return func(t *testing.T) map[string]string {
			t.Helper()
			return env{"REDIS_ADDRS": redisAt(t, settings...), "REDIS_USERNAME": "", "REDIS_PASSWORD": ""}
		}
	}
	// A server that has been changed while it ran.
	configured := func(name, value string, more env) func(*testing.T) map[string]string {
		return func(t *testing.T) map[string]string {
			t.Helper()
			rdb, addr := startRedis(t)
			require.NoError(t, rdb.ConfigSet(t.Context(), name, value).Err())
			settings := env{"REDIS_ADDRS": addr, "REDIS_USERNAME": "", "REDIS_PASSWORD": ""}
			maps.Copy(settings, more)
			return settings
		}
	}
	// A user of one's own, with these rights.
	user := func(rights ...any) func(*testing.T) map[string]string {
		return func(t *testing.T) map[string]string {
			t.Helper()
			rdb, addr := startRedis(t)
			require.NoError(t, rdb.Do(t.Context(), append([]any{"ACL", "SETUSER", "shop", "on", ">secret"}, rights...)...).Err())
			return env{"REDIS_ADDRS": addr, "REDIS_USERNAME": "shop", "REDIS_PASSWORD": "secret"}
		}
	}
	// Where all is well: with the rights that the doctor advises.
	base := sharedBase(t)
	_, advice, _ := strings.Cut(checkup.PermissionAdvice, "SETUSER it with ")
	advice, _, _ = strings.Cut(advice, ",")
	var rights []any
	for right := range strings.FieldsSeq(advice) {
		rights = append(rights, right)
	}
	maps.Copy(base, user(rights...)(t))
	diagnose(t, base, map[string]fault{
		"no channels":                {user("~seckill:*", "+@all", "resetchannels"), "redis orders", "NOPERM", "&seckill:*"},
		"keys only to read":          {user("%R~seckill:*", "&seckill:*", "+@all"), "redis orders", "NOPERM", "~seckill:*"},
		"other keys":                 {user("~shop:*", "&seckill:*", "+@all"), "redis orders", "NOPERM", "~seckill:*"},
		"no scripts":                 {user("~seckill:*", "&seckill:*", "+@all", "-@scripting"), "redis orders", "NOPERM", "+@all"},
		"no commands within scripts": {user("~seckill:*", "&seckill:*", "+@all", "-hincrby"), "redis orders", "The user executing the script", "+@all"},
		"no subscriptions":           {user("~seckill:*", "&seckill:*", "+@all", "-subscribe"), "redis orders", "subscribe", "+@all"},
		"no INFO":                    {user("~seckill:*", "&seckill:*", "+@all", "-info"), "redis", "NOPERM", "+info"},
		"too few replicas":           {set("--min-replicas-to-write", "3"), "redis orders", "NOREPLICAS", "min-replicas-to-write"},
		"full":                       {set("--maxmemory", "1mb", "--maxmemory-policy", "noeviction"), "redis orders", "OOM", "raise maxmemory"},
		"eviction":                   {set("--maxmemory-policy", "allkeys-lru"), "redis eviction", "allkeys-lru", "noeviction"},
		"no log":                     {set("--appendonly", "no"), "redis persistence", "append-only log is off", "appendonly yes"},
		"a replica":                  {set("--replicaof", "127.0.0.1 1"), "redis replication", "slave", "connect to the master"},
		"a Cluster":                  {set("--cluster-enabled", "yes"), "redis mode", "it is a Cluster: true", "SECKILL_REDIS_CLUSTER=true"},
		"no Cluster":                 {configured("appendonly", "yes", env{"REDIS_CLUSTER": "true"}), "redis", "cluster support disabled", "SECKILL_REDIS_CLUSTER=false"},
		"a Cluster with slots that nobody serves": {func(t *testing.T) map[string]string {
			t.Helper()
			return env{"REDIS_ADDRS": redisAt(t, "--cluster-enabled", "yes"), "REDIS_USERNAME": "", "REDIS_PASSWORD": "", "REDIS_CLUSTER": "true"}
		}, "redis", "no master", "CLUSTER NODES"},
		"a password that is not given": {configured("requirepass", "secret", nil), "redis", "NOAUTH", "SECKILL_REDIS_PASSWORD"},
		"a wrong password":             {configured("requirepass", "secret", env{"REDIS_PASSWORD": "wrong"}), "redis", "WRONGPASS", "SECKILL_REDIS_PASSWORD"},
		"no TLS":                       {configured("appendonly", "yes", env{"REDIS_TLS": "true"}), "redis", "deadline exceeded", "TLS"},
		"no free connection":           {configured("maxclients", "1", nil), "redis", "", "all its connections may be in use"},
		"snapshots that fail": {func(t *testing.T) map[string]string {
			t.Helper()
			rdb, addr := startRedis(t, "--save", "3600 1", "--appendonly", "no", "--enable-protected-configs", "yes")
			gone := filepath.Join(t.TempDir(), "gone")
			require.NoError(t, os.Mkdir(gone, 0o700))
			require.NoError(t, rdb.ConfigSet(t.Context(), "dir", gone).Err())
			require.NoError(t, os.Remove(gone))
			require.Eventually(t, func() bool {
				_ = rdb.BgSave(t.Context()).Err()
				return rdb.Set(t.Context(), "x", 1, 0).Err() != nil
			}, 20*time.Second, 100*time.Millisecond)
			return env{"REDIS_ADDRS": addr, "REDIS_USERNAME": "", "REDIS_PASSWORD": ""}
		}, "redis orders", "MISCONF", "its disk may be full"},
		"nothing there": {func(*testing.T) map[string]string { return env{"REDIS_ADDRS": "127.0.0.1:1"} }, "redis", "connection refused", "SECKILL_REDIS_ADDRS"},
	})
}

func TestTheDoctorNamesWhatIsWrongWithRocketMQAndTheCure(t *testing.T) {
	t.Parallel()
	nameServer, broker := testenv.Broker(t, "autoCreateSubscriptionGroup=false")
	base := sharedBase(t)
	base["ROCKETMQ_NAMESERVERS"] = nameServer
	makeTopics(t, base)
	// A setting of the broker, until the end of the subtest.
	set := func(wrong, back string) func(*testing.T) map[string]string {
		return func(t *testing.T) map[string]string {
			t.Helper()
			testenv.AskBroker(t, broker, testenv.BrokerConfig, nil, wrong)
			t.Cleanup(func() { testenv.AskBroker(t, broker, testenv.BrokerConfig, nil, back) })
			return nil
		}
	}
	topic := func(t *testing.T, permission string) {
		t.Helper()
		testenv.AskBroker(t, broker, testenv.BrokerTopic, map[string]string{
			"topic": base["ROCKETMQ_TOPIC"], "defaultTopic": "TBW102", "readQueueNums": "2", "writeQueueNums": "2",
			"perm": permission, "topicFilterType": "SINGLE_TAG", "topicSysFlag": "0", "order": "false",
		}, "")
	}
	group := func(t *testing.T, consume string) {
		t.Helper()
		testenv.AskBroker(t, broker, testenv.BrokerGroup, nil, `{"groupName":"`+base["ROCKETMQ_GROUP"]+`","consumeEnable":`+consume+`}`)
	}
	diagnose(t, base, map[string]fault{
		"no topic":       {func(*testing.T) map[string]string { return env{"ROCKETMQ_TOPIC": "nobodys"} }, "rocketmq topics", "nobodys", "seckill migrate up"},
		"no probe topic": {func(*testing.T) map[string]string { return env{"ROCKETMQ_PROBE_TOPIC": "nobodys"} }, "rocketmq topics", "nobodys", "seckill migrate up"},
		"no event topic": {func(*testing.T) map[string]string { return env{"ROCKETMQ_EVENT_TOPIC": "nobodys"} }, "rocketmq event topic", "nobodys", "seckill migrate up"},
		"no group":       {func(*testing.T) map[string]string { return env{"ROCKETMQ_GROUP": "nobodys"} }, "rocketmq messages", "subscription group [nobodys] does not exist", "seckill migrate up"},
		"a topic that may not be written to": {func(t *testing.T) map[string]string {
			t.Helper()
			topic(t, "4")
			t.Cleanup(func() { topic(t, "6") })
			return nil
		}, "rocketmq messages", "may be written to", "permission 6"},
		"a topic that may not be read": {func(t *testing.T) map[string]string {
			t.Helper()
			topic(t, "2")
			t.Cleanup(func() { topic(t, "6") })
			return nil
		}, "rocketmq messages", "may be read", "permission 6"},
		"a group that may not consume": {func(t *testing.T) map[string]string {
			t.Helper()
			group(t, "false")
			t.Cleanup(func() { group(t, "true") })
			return nil
		}, "rocketmq messages", "no permission", "updateSubGroup"},
		"a broker that only reads":  {set("brokerPermission=4", "brokerPermission=6"), "rocketmq messages", "brokerPermission", "brokerPermission=6"},
		"a broker that only writes": {set("brokerPermission=2", "brokerPermission=6"), "rocketmq messages", "brokerPermission", "brokerPermission=6"},
		"topics of misspelt names":  {set("autoCreateTopicEnable=true", "autoCreateTopicEnable=false"), "broker broker-a", "misspelt", "autoCreateTopicEnable=false"},
		"another deployment in the group": {func(t *testing.T) map[string]string {
			t.Helper()
			subscribe(t, rocketmq.Options{NameServers: []string{nameServer}, Topic: base["ROCKETMQ_TOPIC"], Group: base["ROCKETMQ_GROUP"]})
			return nil
		}, "rocketmq group", "none of the running consumers", "SECKILL_ROCKETMQ_GROUP"},
		"another subscription in the group": {func(t *testing.T) map[string]string {
			t.Helper()
			subscribe(t, rocketmq.Options{NameServers: []string{nameServer}, Topic: base["ROCKETMQ_EVENT_TOPIC"], Group: base["ROCKETMQ_GROUP"]})
			return nil
		}, "rocketmq group", "subscriptions to something else: " + base["ROCKETMQ_EVENT_TOPIC"], "SECKILL_ROCKETMQ_GROUP"},
		"no name server": {func(*testing.T) map[string]string { return env{"ROCKETMQ_NAMESERVERS": "127.0.0.1:1"} }, "rocketmq", "connection refused", "SECKILL_ROCKETMQ_NAMESERVERS"},
	})
}

// subscribe joins a group until the end of the test, as a process that no fleet knows.
func subscribe(t *testing.T, o rocketmq.Options) {
	t.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	s, err := rocketmq.NewSubscriber(o, rocketmq.SubscriberOptions{Handle: func(context.Context, []rocketmq.Message) error { return nil }})
	require.NoError(t, err)
	testenv.Start(t, s.Run)
	require.Eventually(t, s.Joined, 30*time.Second, 50*time.Millisecond)
}

func TestTheDoctorNamesABrokerThatIsNotWhereItSays(t *testing.T) {
	t.Parallel()
	base := sharedBase(t)
	nameServer, _ := testenv.Broker(t, "brokerIP1=127.0.0.2")
	mq, err := rocketmq.NewAdmin(rocketmq.Options{NameServers: []string{nameServer}, Topic: "x"})
	require.NoError(t, err)
	defer mq.Close()
	require.Eventually(t, func() bool { // it has registered
		err := mq.Ping(t.Context())
		return err != nil && strings.Contains(err.Error(), "127.0.0.2")
	}, 40*time.Second, 100*time.Millisecond)
	diagnose(t, base, map[string]fault{
		"an address that does not answer": {func(*testing.T) map[string]string { return env{"ROCKETMQ_NAMESERVERS": nameServer} }, "rocketmq", "127.0.0.2", "brokerIP1"},
	})
}

func TestTheDoctorNamesAKeyThatTheBrokerRefuses(t *testing.T) {
	t.Parallel()
	const provider = "org.apache.rocketmq.auth.authentication.provider."
	nameServer, _ := testenv.Broker(t, "authenticationEnabled=true", "authenticationProvider="+provider+"DefaultAuthenticationProvider",
		"authenticationMetadataProvider="+provider+"LocalAuthenticationMetadataProvider", "authenticationWhitelist=28", "autoCreateSubscriptionGroup=false",
		`initAuthenticationUser={"username":"shop","password":"secret-of-shop"}`, `innerClientAuthenticationCredentials={"accessKey":"shop","secretKey":"secret-of-shop"}`)
	base := sharedBase(t)
	base["ROCKETMQ_NAMESERVERS"], base["ROCKETMQ_ACCESS_KEY"], base["ROCKETMQ_SECRET_KEY"] = nameServer, "shop", "secret-of-shop"
	makeTopics(t, base)
	keys := func(access, secret string) func(*testing.T) map[string]string {
		return func(*testing.T) map[string]string {
			return env{"ROCKETMQ_ACCESS_KEY": access, "ROCKETMQ_SECRET_KEY": secret}
		}
	}
	diagnose(t, base, map[string]fault{
		"no key":       {keys("", ""), "rocketmq", "", "SECKILL_ROCKETMQ_ACCESS_KEY"},
		"another user": {keys("other", "secret-of-shop"), "rocketmq", "", "SECKILL_ROCKETMQ_ACCESS_KEY"},
		"a wrong key":  {keys("shop", "secret-of-other"), "rocketmq", "", "SECKILL_ROCKETMQ_ACCESS_KEY"},
	})
}
