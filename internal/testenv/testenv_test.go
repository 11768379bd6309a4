package testenv_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"seckill/internal/testenv"
)

// recorder is a test that only notes how it would have ended.
type recorder struct {
	testing.TB

	end string
}

func (r *recorder) Helper()                   {}
func (r *recorder) Skipf(f string, a ...any)  { r.stop("skip: " + fmt.Sprintf(f, a...)) }
func (r *recorder) Fatalf(f string, a ...any) { r.stop("fail: " + fmt.Sprintf(f, a...)) }

func (r *recorder) stop(end string) {
	r.end = end
	panic(r)
}

// ending runs test and returns how it ended.
func ending(t *testing.T, test func(tb testing.TB)) (end string) {
	t.Helper()
	r := &recorder{TB: t}
	defer func() {
		if p := recover(); p != nil && p != any(r) {
			panic(p)
		}
		end = r.end
	}()
	test(r)
	return r.end
}

func TestWithoutAServerATestSkipsUnlessServersAreRequired(t *testing.T) {
	const closed = "127.0.0.1:1"
	t.Chdir(t.TempDir()) // no .run/env above
	t.Setenv("SECKILL_TEST_SERVERS", "")
	t.Setenv("SECKILL_TEST_REQUIRED", "")
	t.Setenv("SECKILL_REDIS_ADDRS", "")
	t.Setenv("SECKILL_MYSQL_DSN", "root@tcp("+closed+")/seckill")
	t.Setenv("SECKILL_ROCKETMQ_NAMESERVERS", closed)
	servers := map[string]func(tb testing.TB){
		"SECKILL_REDIS_ADDRS is not set": func(tb testing.TB) { tb.Helper(); testenv.Redis(tb) },
		"no MySQL: ":                     func(tb testing.TB) { tb.Helper(); testenv.MySQL(tb) },
		"no RocketMQ name server: ":      func(tb testing.TB) { tb.Helper(); testenv.NameServers(tb) },
	}
	for why, server := range servers {
		require.Contains(t, ending(t, server), "skip: "+why)
	}
	t.Setenv("SECKILL_TEST_REQUIRED", "1")
	for why, server := range servers {
		require.Contains(t, ending(t, server), "fail: "+why)
	}
	t.Setenv("SECKILL_TEST_SERVERS", "none")
	for _, server := range servers {
		require.Contains(t, ending(t, server), "skip: SECKILL_TEST_SERVERS=none")
	}
}

func TestSettingsAreReadFromTheNearestEnvFileUpwards(t *testing.T) {
	mini := miniredis.RunT(t)
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, ".run"), 0o700))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "a", "b"), 0o700))
	env := "# comment\nexport SECKILL_REDIS_ADDRS_OTHER='x'\nexport SECKILL_REDIS_ADDRS='" + mini.Addr() + "'\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".run", "env"), []byte(env), 0o600))
	t.Chdir(filepath.Join(dir, "a", "b"))
	t.Setenv("SECKILL_TEST_SERVERS", "")
	t.Setenv("SECKILL_REDIS_ADDRS", "")

	require.NoError(t, mini.Set("here", "1"))
	require.Equal(t, "1", testenv.Redis(t).Get(t.Context(), "here").Val())
}

func TestEachTestHasAMigratedDatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	var names []string
	for range 2 {
		testenv.MySQLs(t, func(t *testing.T, db *sql.DB) {
			t.Helper()
			var name string
			require.NoError(t, db.QueryRowContext(t.Context(), "SELECT DATABASE()").Scan(&name))
			require.NotContains(t, names, name)
			names = append(names, name)
			var sales int
			require.NoError(t, db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM sales").Scan(&sales))
			require.Zero(t, sales)
		})
	}
	db := testenv.MySQL(t)
	for _, name := range names {
		var left int
		require.NoError(t, db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = ?", name).Scan(&left))
		require.Zero(t, left, "dropped with its test")
	}
}
