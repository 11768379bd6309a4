package checkup_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"seckill/cmd/seckill/internal/checkup"
	"seckill/queue/rocketmq"
)

// of returns the finding of that name.
func of(t *testing.T, found []checkup.Finding, name string) checkup.Finding {
	t.Helper()
	for _, f := range found {
		if f.Name == name {
			return f
		}
	}
	require.Fail(t, "no finding "+name, "%+v", found)
	return checkup.Finding{}
}

// requireSound checks that findings are consistent: only those that are not well have
// advice, and only failures are not ok.
func requireSound(t *testing.T, found ...checkup.Finding) {
	t.Helper()
	for _, f := range found {
		require.Equal(t, f.Level != checkup.OK, f.Advice != "", "%+v", f)
		require.Equal(t, f.Level != checkup.Fail, f.OK, "%+v", f)
		require.NotEmpty(t, f.Detail, "%+v", f)
	}
}

func TestAClockIsJudgedByWhatIsSureOfIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ahead, slack time.Duration
		want         checkup.Level
		says         string
	}{
		{0, 0, checkup.OK, "agrees"},
		{-400 * time.Millisecond, 0, checkup.OK, "agrees"},
		{900 * time.Millisecond, 500 * time.Millisecond, checkup.OK, "agrees"},
		{2 * time.Second, 100 * time.Millisecond, checkup.Warn, "2s ahead of Redis' clock"},
		{-2 * time.Second, 100 * time.Millisecond, checkup.Warn, "2s behind Redis' clock"},
		{-time.Hour, time.Second, checkup.Fail, "1h0m0s behind"},
	} {
		f := checkup.JudgeClock("x", "Redis'", c.ahead, c.slack)
		require.Equal(t, c.want, f.Level, "%+v", c)
		require.Contains(t, f.Detail, c.says)
		requireSound(t, f)
	}
	f := checkup.Clock(t.Context(), "redis", func(context.Context) (time.Time, error) { return time.Now().Add(-time.Minute), nil })
	require.Equal(t, checkup.Fail, f.Level)
	f = checkup.Clock(t.Context(), "redis", func(context.Context) (time.Time, error) { return time.Now(), nil })
	require.Equal(t, checkup.OK, f.Level)
}

func TestEachErrorOfAServerHasItsOwnAdvice(t *testing.T) {
	t.Parallel()
	for err, says := range map[error]string{
		&mysql.MySQLError{Number: 1045}: "user or password is wrong",
		&mysql.MySQLError{Number: 1049}: "CREATE DATABASE",
		&mysql.MySQLError{Number: 1040}: "raise max_connections",
		&mysql.MySQLError{Number: 1146}: "seckill migrate up",
		context.DeadlineExceeded:        "no answer in time",
	} {
		require.Contains(t, checkup.ExplainMySQL(fmt.Errorf("wrapped: %w", err)), says)
	}
	for text, says := range map[string]string{
		"NOAUTH Authentication required.": "set SECKILL_REDIS_PASSWORD",
		"WRONGPASS invalid username":      "SECKILL_REDIS_USERNAME",
		"LOADING Redis is loading":        "wait",
		"MOVED 1 127.0.0.1:7000":          "SECKILL_REDIS_CLUSTER=true",
		"READONLY You can't write":        "connect to the master",
	} {
		require.Contains(t, checkup.ExplainRedis(errors.New(text)), says)
	}
	require.Contains(t, checkup.ExplainRocketMQ(fmt.Errorf("x: %w", rocketmq.ErrNoBroker)), "start it")
	require.Contains(t, checkup.ExplainRocketMQ(fmt.Errorf("x: %w", rocketmq.ErrNoTopic)), "seckill migrate up")
	require.Contains(t, checkup.ExplainRocketMQ(errors.New("CODE: 1 org.apache.rocketmq.acl.common.AclException")), "SECKILL_ROCKETMQ_ACCESS_KEY")
}

func TestPoolsMustFitAndLeaveRoom(t *testing.T) {
	t.Parallel()
	for used, want := range map[int]checkup.Level{80: checkup.OK, 81: checkup.Warn, 100: checkup.Warn, 101: checkup.Fail} {
		f := checkup.JudgePools("x", "max_connections", used, 100)
		require.Equal(t, want, f.Level, used)
		requireSound(t, f)
	}
}

func TestABrokerIsJudgedByItsDiskAndHowItIsSet(t *testing.T) {
	t.Parallel()
	good := rocketmq.Broker{Name: "a", Version: "V5_5_0", Flush: "SYNC_FLUSH", Role: "SYNC_MASTER", InSync: 2, Disk: .5}
	f := checkup.JudgeBroker(good)
	require.Equal(t, "broker a", f.Name)
	require.Equal(t, checkup.OK, f.Level)
	requireSound(t, f)
	for says, change := range map[string]func(*rocketmq.Broker){
		"nearly full":            func(b *rocketmq.Broker) { b.Disk = .86 },
		"disk is filling up":     func(b *rocketmq.Broker) { b.Disk = .8 },
		"before its fsync":       func(b *rocketmq.Broker) { b.Flush = "ASYNC_FLUSH" },
		"waits for no replica":   func(b *rocketmq.Broker) { b.InSync = 1 },
		"misspelt names":         func(b *rocketmq.Broker) { b.AutoCreate = true },
		"deletes unread":         func(b *rocketmq.Broker) { b.CleanForcibly = true },
		"filling up; it deletes": func(b *rocketmq.Broker) { b.CleanForcibly, b.Disk = true, .8 },
	} {
		b := good
		change(&b)
		f := checkup.JudgeBroker(b)
		require.Contains(t, f.Detail, says)
		require.Equal(t, b.Disk > .85, f.Level == checkup.Fail, "%+v", f)
		require.NotEqual(t, checkup.OK, f.Level)
		requireSound(t, f)
	}
	silent := good
	silent.Disk = -1
	require.NotContains(t, checkup.JudgeBroker(silent).Detail, "disk")
}

func TestARedisThatCannotSaveIsFound(t *testing.T) {
	t.Parallel()
	for says, fields := range map[string]map[string]string{
		"the last write of its append-only log failed": {"aof_enabled": "1", "aof_last_write_status": "err"},
		"the last snapshot failed":                     {"aof_enabled": "1", "aof_last_write_status": "ok", "rdb_last_bgsave_status": "err"},
		"it is loading its data":                       {"loading": "1"},
	} {
		fields["role"], fields["maxmemory_policy"] = "master", "noeviction"
		found := checkup.JudgeNode("redis", fields)
		requireSound(t, found...)
		f := of(t, found, "redis persistence")
		require.Equal(t, checkup.Fail, f.Level)
		require.Equal(t, says, f.Detail)
	}
}
