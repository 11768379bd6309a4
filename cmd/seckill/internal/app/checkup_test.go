package app

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"seckill/admin"
	"seckill/cmd/seckill/internal/checkup"
	"seckill/fleet"
	"seckill/internal/config"
	"seckill/order"
	"seckill/order/memory"
	"seckill/stock"
)

var errUnread = errors.New("the response was lost")

// failingStores are a MySQL and a fleet that do not answer the calls that the fields
// name.
type failingStores struct {
	*memory.Store

	sale, limits, instances, sales bool
}

func (d *failingStores) Sale(ctx context.Context, id int64) (order.Sale, error) {
	if d.sale {
		return order.Sale{}, errUnread
	}
	return d.Store.Sale(ctx, id)
}

func (d *failingStores) Sales(ctx context.Context) ([]order.Sale, error) {
	if d.sales {
		return nil, errUnread
	}
	return d.Store.Sales(ctx)
}

func (d *failingStores) Limits(ctx context.Context) (order.Limits, error) {
	if d.limits {
		return order.Limits{}, errUnread
	}
	return d.Store.Limits(ctx)
}

func (d *failingStores) Instances(context.Context) ([]fleet.Instance, error) {
	if d.instances {
		return nil, errUnread
	}
	return []fleet.Instance{{ID: "api-1", Role: fleet.RoleAPI}}, nil
}

func (d *failingStores) AnnounceLimits(context.Context, uint64) error { return nil }

// A part that cannot be read is a failed check and hides no other: the servers, which
// are down here, are checked too.
func TestWhatPreflightCannotReadFails(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load([]string{"SECKILL_MYSQL_DSN=x:y@tcp(127.0.0.1:1)/z", "SECKILL_REDIS_ADDRS=127.0.0.1:1", "SECKILL_ROCKETMQ_NAMESERVERS=127.0.0.1:1"}, "")
	require.NoError(t, err)
	line := func(i fleet.Instance) string { return i.ID }
	servers := []string{"mysql", "redis", "rocketmq"}
	ofInstances := []string{"api-1", "apis", "consumers", "mysql connections", "rocketmq queues"}
	for part, test := range map[string]struct {
		stores    *failingStores
		fails     string
		there     []string
		unchecked []string
	}{
		"the sale":      {&failingStores{sale: true}, "sale", ofInstances, []string{"sale window"}},
		"the instances": {&failingStores{instances: true}, "instances", []string{"sale", "sale window"}, ofInstances},
		"the limits":    {&failingStores{limits: true}, "limits in force", append([]string{"sale"}, ofInstances...), nil},
		"the sales":     {&failingStores{sales: true}, "sales of the instances", append([]string{"sale"}, ofInstances...), nil},
	} {
		t.Run(part, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, WithCheckup(cfg, slog.New(slog.DiscardHandler), line, func(c *Checkup) error {
				store := memory.NewStore()
				sale, err := store.CreateSale(t.Context(), order.Sale{
					ID: 7, Title: "t", PriceMinor: 9900, Currency: "CNY", Total: 5, OrdersPerShopper: 1, UnitsPerOrder: 1,
					StartsAt: time.Now(), EndsAt: time.Now().Add(time.Hour), PayWithin: time.Hour,
				})
				require.NoError(t, err)
				test.stores.Store = store
				rdb := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
				defer rdb.Close()
				c.service = admin.New(admin.Options{
					Sales: test.stores, Ledger: stock.New(rdb), Limits: test.stores, LimitRules: c.service.LimitRules(), Fleet: test.stores, Log: slog.New(slog.DiscardHandler),
				})
				found, err := c.Preflight(t.Context(), sale.ID)
				require.NoError(t, err)
				byName := map[string]checkup.Finding{}
				for _, f := range found {
					byName[f.Name] = f
				}
				f := byName[test.fails]
				require.Equal(t, checkup.Fail, f.Level, "%+v", found)
				require.Contains(t, f.Detail, errUnread.Error())
				require.NotEmpty(t, f.Advice)
				require.False(t, f.OK, "it alone fails the preflight")
				require.False(t, f.Down)
				for _, name := range append(test.there, servers...) {
					require.Contains(t, byName, name)
				}
				for _, name := range test.unchecked {
					require.NotContains(t, byName, name)
				}
				return nil
			}))
		})
	}
}
