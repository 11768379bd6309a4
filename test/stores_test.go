//go:build e2e

package test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"seckill/queue/rocketmq"
)

// holdings is all that the stores hold of some sales: a checksum of each table,
// the dump of each Redis key, the end of each queue.
type holdings map[string]any

// holdings reads them. Two of them are equal if nothing was written in between.
func (s *shop) holdings(t *testing.T, sales ...string) holdings {
	t.Helper()
	held := holdings{}
	rows, err := s.db.QueryContext(t.Context(), `CHECKSUM TABLE sales, orders, sale_changes, sale_commands, dead_letters, payments`)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var table string
		var sum int64
		require.NoError(t, rows.Scan(&table, &sum))
		held[table[strings.LastIndexByte(table, '.'):]] = sum
	}
	require.NoError(t, rows.Err())
	require.Len(t, held, 6)

	rdb := redis.NewClient(&redis.Options{Addr: s.setting("SECKILL_REDIS_ADDRS")})
	defer rdb.Close()
	for _, sale := range sales {
		for _, key := range []string{"m", "o", "d", "u"} {
			name := "seckill:{" + sale + "}:" + key
			dump, err := rdb.Dump(t.Context(), name).Result()
			if err != nil {
				require.ErrorIs(t, err, redis.Nil)
			}
			held[name] = dump
		}
		require.NotEmpty(t, held["seckill:{"+sale+"}:m"], "the sale is loaded")
	}

	admin, err := rocketmq.NewAdmin(rocketmq.Options{
		NameServers: []string{s.setting("SECKILL_ROCKETMQ_NAMESERVERS")}, Topic: s.setting("SECKILL_ROCKETMQ_TOPIC"),
		Group: s.setting("SECKILL_ROCKETMQ_GROUP"), Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	defer admin.Close()
	ends, err := admin.MaxOffsets(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, ends)
	held["queues"] = ends
	return held
}

// setting returns what the shop's processes have as this variable.
func (s *shop) setting(name string) (value string) {
	for _, kv := range s.env {
		if k, v, _ := strings.Cut(kv, "="); k == name {
			value = v
		}
	}
	return value
}

// api starts another API with settings of its own, for as long as the shop
// lives, and returns its URL.
func (s *shop) api(settings ...string) string {
	s.t.Helper()
	addr := freeAddr(s.t)
	s.apis = append(s.apis, startProcess(s.t, append(append([]string{}, s.env...), settings...), "api", "--listen", addr))
	return "http://" + addr
}
