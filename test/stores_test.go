//go:build e2e

package test

import (
	"context"
	"encoding/hex"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"seckill/order"
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

	for _, sale := range sales {
		for _, key := range []string{"m", "o", "d", "u"} {
			name := "seckill:{" + sale + "}:" + key
			dump, err := s.rdb.Dump(t.Context(), name).Result()
			if err != nil {
				require.ErrorIs(t, err, redis.Nil)
			}
			held[name] = dump
		}
		require.NotEmpty(t, held["seckill:{"+sale+"}:m"], "the sale is loaded")
	}

	admin, err := rocketmq.NewAdmin(s.rocketmq())
	require.NoError(t, err)
	defer admin.Close()
	ends, err := admin.MaxOffsets(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, ends)
	held["queues"] = ends
	return held
}

// rocketmq is how the tests reach the shop's topics.
func (s *shop) rocketmq() rocketmq.Options {
	return rocketmq.Options{
		NameServers: []string{s.setting("SECKILL_ROCKETMQ_NAMESERVERS")}, Topic: s.setting("SECKILL_ROCKETMQ_TOPIC"),
		ProbeTopic: s.setting("SECKILL_ROCKETMQ_PROBE_TOPIC"), Group: s.setting("SECKILL_ROCKETMQ_GROUP"), Log: slog.New(slog.DiscardHandler),
	}
}

// signer signs messages as the shop's APIs do.
func (s *shop) signer() *order.Signer {
	s.t.Helper()
	key, err := hex.DecodeString(s.setting("SECKILL_MESSAGE_KEYS"))
	require.NoError(s.t, err)
	signer, err := order.NewSigner("%"+s.setting("SECKILL_ROCKETMQ_TOPIC"), key)
	require.NoError(s.t, err)
	return signer
}

// publisher sends to the shop's queue what no API has sent.
func (s *shop) publisher() *rocketmq.Publisher {
	s.t.Helper()
	p, err := rocketmq.NewPublisher(s.rocketmq(), rocketmq.PublisherOptions{Signer: s.signer()})
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = p.Close(context.Background()) })
	return p
}

// publish sends an order until the broker has stored it.
func (s *shop) publish(p *rocketmq.Publisher, o order.Order) {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return p.Publish(s.t.Context(), o) == nil }, 20*time.Second, 100*time.Millisecond)
}

// unsent makes n orders of a sale that no API has seen, each of another shopper.
func (s *shop) unsent(sale, shoppers string, n int) []order.Order {
	s.t.Helper()
	os := make([]order.Order, n)
	ids := order.NewIDMaker(8000)
	for i := range os {
		id, err := ids.Next()
		require.NoError(s.t, err)
		os[i] = order.Order{ID: id, SaleID: saleID(s.t, sale), ShopperID: shoppers + strconv.Itoa(i), Quantity: 1, Reference: "cart-" + strconv.Itoa(i)}
	}
	return os
}

func saleID(t *testing.T, sale string) int64 {
	t.Helper()
	id, err := strconv.ParseInt(sale, 10, 64)
	require.NoError(t, err)
	return id
}

// api starts another API with settings of its own, for as long as the shop
// lives, and returns its URL.
func (s *shop) api(settings ...string) string {
	s.t.Helper()
	addr := freeAddr(s.t)
	s.apis = append(s.apis, startProcess(s.t, append(slices.Clone(s.env), settings...), "api", "--listen", addr))
	return "http://" + addr
}
