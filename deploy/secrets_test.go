package deploy_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"seckill/internal/testenv"
	"seckill/order"
	"seckill/stock"
)

func TestSecretsAreMadeOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "secrets")
	read := func() string {
		var all strings.Builder
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		require.NoError(t, err)
		require.Len(t, files, 10)
		for _, f := range files {
			text, err := os.ReadFile(f)
			require.NoError(t, err)
			all.Write(text)
			all.WriteByte('\n')
		}
		return all.String()
	}
	require.NoError(t, exec.CommandContext(t.Context(), "compose/make-secrets", dir).Run())
	first := read()
	require.NoError(t, exec.CommandContext(t.Context(), "compose/make-secrets", dir).Run())
	require.Equal(t, first, read())
	require.NoError(t, os.Remove(filepath.Join(dir, "admin_jwt_secrets"))) // as an older version left it
	require.NoError(t, exec.CommandContext(t.Context(), "compose/make-secrets", dir).Run())
	_, others, _ := strings.Cut(first, "\n")
	operators, kept, _ := strings.Cut(read(), "\n")
	require.Equal(t, others, kept)
	require.Len(t, operators, 64)
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm(), "closed to others")
}

// The user that make-secrets writes for Redis may do all that the program does, and no
// more.
func TestTheUserOfRedisMayDoWhatTheProgramDoes(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "secrets")
	require.NoError(t, exec.CommandContext(t.Context(), "compose/make-secrets", dir).Run())
	secret := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		return string(text)
	}
	all := testenv.RedisServer(t)
	for line := range strings.Lines(secret("redis_acl")) {
		words := []any{"acl", "setuser"}
		for _, w := range strings.Fields(line)[1:] {
			words = append(words, w)
		}
		if words[2] != "default" { // the test's own
			require.NoError(t, all.Do(t.Context(), words...).Err())
		}
	}
	rdb := redis.NewClient(&redis.Options{Network: "unix", Addr: all.Options().Addr, Username: "seckill", Password: secret("redis_password")})
	t.Cleanup(func() { _ = rdb.Close() })

	l := stock.New(rdb)
	heard := make(chan int64, 10)
	testenv.Start(t, func(ctx context.Context) error {
		return l.Listen(ctx, func(sale int64, _ []order.ID) { heard <- sale }, func(int64) {})
	})
	now := time.Now()
	sale := order.Sale{ID: 7, Total: 10, Available: 10, OrdersPerShopper: 1, UnitsPerOrder: 1, State: order.SaleOpen, StartsAt: now.Add(-time.Hour), EndsAt: now.Add(time.Hour)}
	load, err := l.Begin(t.Context(), sale)
	require.NoError(t, err)
	require.NoError(t, load.Finish(t.Context(), sale))
	o := order.Order{ID: 1 << 20, SaleID: 7, ShopperID: "42", Quantity: 1}
	rs, err := l.Reserve(t.Context(), 7, stock.Purchases(o))
	require.NoError(t, err)
	require.NoError(t, rs[0].Err)
	o.Slot = rs[0].Slot
	verdict := order.Verdict{Order: o, Status: order.StatusConfirmed, Seq: 1}
	require.NoError(t, l.Apply(t.Context(), []order.Change{{SaleID: 7, Seq: 1, Verdicts: []order.Verdict{verdict}}}))
	require.Eventually(t, func() bool {
		select {
		case sale := <-heard:
			return sale == 7
		default:
			return false
		}
	}, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, rdb.Info(t.Context(), "memory").Err())
	require.NoError(t, l.Unload(t.Context(), 7))

	for _, forbidden := range [][]any{{"flushall"}, {"config", "set", "maxmemory", "1"}, {"acl", "list"}, {"shutdown"}, {"keys", "*"}, {"get", "of-another-program"}, {"publish", "elsewhere", "x"}} {
		require.ErrorContains(t, rdb.Do(t.Context(), forbidden...).Err(), "NOPERM", forbidden)
	}
}
