package checkup_test

import (
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"seckill/cmd/seckill/internal/checkup"
	"seckill/fleet"
	"seckill/internal/testenv"
	"seckill/order/mysql"
	"seckill/queue/rocketmq"
)

func TestEveryMySQLThatThePromisesRestOnIsWell(t *testing.T) {
	t.Parallel()
	testenv.MySQLs(t, func(t *testing.T, db *sql.DB) {
		found := checkup.MySQL(t.Context(), db)
		requireSound(t, found...)
		for _, name := range []string{"mysql", "mysql schema", "mysql durability", "mysql writes", "mysql clock"} {
			require.Equal(t, checkup.OK, of(t, found, name).Level, "%+v", of(t, found, name))
		}
		var most int
		require.NoError(t, db.QueryRowContext(t.Context(), `SELECT @@GLOBAL.max_connections`).Scan(&most))
		for conns, want := range map[int]checkup.Level{1: checkup.OK, most: checkup.Fail} {
			f := checkup.MySQLPools(t.Context(), db, []fleet.Instance{{MaxMySQLConns: conns}, {MaxMySQLConns: 1}})
			require.Equal(t, want, f.Level, "%+v", f)
			requireSound(t, f)
		}
	})
}

func TestAServerThatRefusesIsSaidToBeDownAndNoPasswordIsSaid(t *testing.T) {
	t.Parallel()
	db, err := mysql.OpenDB("someone:confidential@tcp(127.0.0.1:1)/x", mysql.DBOptions{})
	require.NoError(t, err)
	defer db.Close()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", Password: "confidential", MaxRetries: -1, DialerRetries: 1})
	defer rdb.Close()
	mq, err := rocketmq.NewAdmin(rocketmq.Options{NameServers: []string{"127.0.0.1:1"}, Topic: "x", AccessKey: "k", SecretKey: "confidential"})
	require.NoError(t, err)
	defer mq.Close()
	for server, found := range map[string][]checkup.Finding{
		"mysql": checkup.MySQL(t.Context(), db), "redis": checkup.Redis(t.Context(), rdb), "rocketmq": checkup.RocketMQ(t.Context(), mq, nil),
	} {
		requireSound(t, found...)
		require.Len(t, found, 1)
		require.Equal(t, server, found[0].Name)
		require.True(t, found[0].Down)
		require.Contains(t, found[0].Advice, "nothing listens at this address")
		require.NotContains(t, found[0].Detail+found[0].Advice, "confidential")
	}
}

func TestACertificateForAnotherNameIsExplained(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	trusted := x509.NewCertPool()
	trusted.AddCert(server.Certificate())
	mq, err := rocketmq.NewAdmin(rocketmq.Options{
		NameServers: []string{server.Listener.Addr().String()}, Topic: "x",
		TLS: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: trusted, ServerName: "mq.shop.example"},
	})
	require.NoError(t, err)
	defer mq.Close()
	found := checkup.RocketMQ(t.Context(), mq, nil)
	require.Len(t, found, 1)
	require.Contains(t, found[0].Advice, "SECKILL_ROCKETMQ_TLS_SERVER_NAME")
}

func TestARedisIsJudgedByWhatItDoesWithTheStock(t *testing.T) {
	t.Parallel()
	good := testenv.RedisServer(t, "--maxmemory", "100mb", "--maxmemory-policy", "noeviction", "--appendonly", "yes")
	found := checkup.Redis(t.Context(), good)
	requireSound(t, found...)
	for _, f := range found {
		require.Equal(t, checkup.OK, f.Level, "%+v", f)
	}
	for orders, want := range map[int64]checkup.Level{1000: checkup.OK, 800_000: checkup.Warn, 1_000_000: checkup.Fail} {
		f := checkup.Headroom(t.Context(), good, orders)
		require.Equal(t, want, f.Level, "%+v", f)
		requireSound(t, f)
	}
	clients, err := strconv.Atoi(good.ConfigGet(t.Context(), "maxclients").Val()["maxclients"])
	require.NoError(t, err)
	for conns, want := range map[int]checkup.Level{32: checkup.OK, clients: checkup.Fail} {
		require.Equal(t, want, checkup.RedisPools(t.Context(), good, []fleet.Instance{{MaxRedisConns: conns}}).Level)
	}

	bad := testenv.RedisServer(t, "--maxmemory-policy", "allkeys-lru", "--appendonly", "no")
	found = checkup.Redis(t.Context(), bad)
	requireSound(t, found...)
	require.Equal(t, checkup.Fail, of(t, found, "redis eviction").Level)
	require.Equal(t, checkup.Warn, of(t, found, "redis persistence").Level)
	require.Equal(t, checkup.Warn, checkup.Headroom(t.Context(), bad, 1).Level, "maxmemory is not set")

	require.NoError(t, bad.ReplicaOf(t.Context(), "127.0.0.1", "1").Err())
	require.Equal(t, checkup.Fail, of(t, checkup.Redis(t.Context(), bad), "redis replication").Level)
}

func TestABrokerTellsHowItIsSet(t *testing.T) {
	t.Parallel()
	topic := "checkup-" + strconv.FormatInt(testenv.SaleID(), 10)
	mq, err := rocketmq.NewAdmin(rocketmq.Options{NameServers: testenv.NameServers(t), Topic: topic, Group: topic})
	require.NoError(t, err)
	defer mq.Close()
	found := checkup.RocketMQ(t.Context(), mq, nil)
	requireSound(t, found...)
	require.Equal(t, checkup.OK, of(t, found, "rocketmq").Level)
	require.Contains(t, of(t, found, "rocketmq topics").Advice, "seckill migrate up")
	require.Equal(t, checkup.Fail, checkup.Queues(t.Context(), mq, 1).Level)

	require.NoError(t, mq.EnsureTopics(t.Context(), 3))
	found = checkup.RocketMQ(t.Context(), mq, mq)
	requireSound(t, found...)
	require.Equal(t, checkup.OK, of(t, found, "rocketmq topics").Level)
	require.Equal(t, checkup.OK, of(t, found, "rocketmq event topic").Level)
	for consumers, want := range map[int]checkup.Level{3: checkup.OK, 4: checkup.Warn} {
		f := checkup.Queues(t.Context(), mq, consumers)
		require.Equal(t, want, f.Level, "%+v", f)
		requireSound(t, f)
	}
	all, err := mq.Brokers(t.Context())
	require.NoError(t, err)
	for _, b := range all {
		require.Regexp(t, `^V\d`, b.Version)
		require.Contains(t, []string{"SYNC_FLUSH", "ASYNC_FLUSH"}, b.Flush)
		require.Contains(t, b.Role, "MASTER")
		require.Positive(t, b.Disk)
		require.LessOrEqual(t, b.Disk, 1.)
		require.False(t, b.AutoCreate, "deploy/rocketmq/broker.conf")
		require.False(t, b.CleanForcibly)
	}
}
