package adminhttp_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"seckill/admin"
	"seckill/fleet"
	"seckill/internal/testenv"
	"seckill/order"
	"seckill/stock"
)

// live gets the live view of a sale, or of all for 0.
func (d *adminAPI) live(saleID int64) (v admin.LiveView) {
	d.t.Helper()
	path := "live"
	if saleID != 0 {
		path += "?sale_id=" + strconv.FormatInt(saleID, 10)
	}
	require.NoError(d.t, json.Unmarshal([]byte(d.want(http.StatusOK, http.MethodGet, path, "").text), &v))
	return v
}

func TestALiveSaleIsShownWithItsStockAndWhoSellsIt(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	id := d.sale(10)
	_, err := d.buy(id, "a")
	require.NoError(t, err)
	require.NotZero(t, d.reserve(id, "b"))
	other := d.sale(5)
	member := fleet.NewMember(fleet.Options{
		Fleet: d.fleet, Self: fleet.Instance{Role: fleet.RoleAPI, AdminListen: "h:1"},
		Look:   func(*fleet.Instance) fleet.Totals { return fleet.Totals{Backlog: 7} },
		Limits: d.store.Limits, Apply: func(order.Limits, int) error { return nil }, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
	})
	testenv.Start(t, member.Run)
	require.Eventually(t, func() bool { return len(d.live(0).Instances) == 1 }, 5*time.Second, 5*time.Millisecond)

	v := d.live(id)
	require.Len(t, v.Sales, 1)
	s := v.Sales[0]
	s.OldestPending, s.StartsAt, s.EndsAt = 0, "", ""
	require.Equal(t, admin.LiveSaleView{
		ID: strconv.FormatInt(id, 10), Title: "Sneaker", Status: "open", Loaded: true, Total: 10, Available: 8, Pending: 1, Settled: 1,
	}, s)
	require.EqualValues(t, 7, *v.Backlog)
	require.Nil(t, v.DrainSeconds, "nothing is settled")
	require.Nil(t, v.ToResultP99)
	require.Len(t, d.live(0).Sales, 2)

	d.want(http.StatusOK, http.MethodPost, path(other, "/pause"), "")
	require.Equal(t, "paused", d.live(other).Sales[0].Status)
	require.Equal(t, "not-found", d.want(http.StatusNotFound, http.MethodGet, "live?sale_id=7", "").body.Code)
	d.want(http.StatusUnprocessableEntity, http.MethodGet, "live?sale_id=id:x", "")
	require.Equal(t, http.StatusOK, d.as("victor", http.MethodGet, "live", "").status)

	d.mini.SetError("away")
	require.Eventually(t, func() bool { v = d.live(id); return len(v.Away) > 0 }, 5*time.Second, 50*time.Millisecond, "the last view is kept for a moment")
	require.Equal(t, []string{"redis"}, v.Away)
	require.Equal(t, "open", v.Sales[0].Status)
	require.EqualValues(t, 9, v.Sales[0].Available, "MySQL's")
	require.Empty(t, v.Instances)
	require.Nil(t, v.Backlog)
}

// failingSales is a MySQL that is down.
type failingSales struct{}

var errAway = errors.New("away")

func (failingSales) Sale(context.Context, int64) (order.Sale, error) { return order.Sale{}, errAway }
func (failingSales) Sales(context.Context) ([]order.Sale, error)     { return nil, errAway }
func (failingSales) SalesBefore(context.Context, int64, int) ([]order.Sale, error) {
	return nil, errAway
}

func TestASaleIsWatchedOnWhileMySQLIsAway(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	id := d.sale(10)
	l, err := d.service.Live(t.Context(), id)
	require.NoError(t, err)
	require.Empty(t, l.Away)
	d.opts.Sales = failingSales{}
	d.reopen()
	require.NotZero(t, d.reserve(id, "a"))
	l, err = d.service.Live(t.Context(), id, l.Sales[0].Sale)
	require.NoError(t, err)
	v := admin.ViewLive(l)
	require.Equal(t, []string{"mysql"}, v.Away)
	require.EqualValues(t, 9, v.Sales[0].Available)
}

func TestInstancesAreAddedUp(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	v := admin.ViewLive(admin.Live{At: at, Instances: []fleet.Instance{
		{ID: "api-2", Role: fleet.RoleAPI, BreakersOpen: []string{"rocketmq"}, Load: fleet.Load{Accepted: 100, Refused: 7, Backlog: 300}},
		{ID: "api-1", Role: fleet.RoleAPI, BreakersOpen: []string{"mysql", "rocketmq"}, Load: fleet.Load{Accepted: 50, Refused: 3, Backlog: 280}},
		{ID: "consumer-1", Role: fleet.RoleConsumer, Load: fleet.Load{Settled: 90, ToResultP50: .1, ToResultP99: 2}},
		{ID: "consumer-2", Role: fleet.RoleConsumer, Load: fleet.Load{Settled: 10, ToResultP50: .3, ToResultP99: .9}},
		{ID: "consumer-3", Role: fleet.RoleConsumer},
	}, Sales: []admin.SaleStatus{{
		Sale: order.Sale{ID: 1, Total: 4, Seq: 9, State: order.SaleOpen, StartsAt: at.Add(-time.Hour), EndsAt: at.Add(time.Hour)},
		Meta: stock.Meta{
			Loaded: true, State: order.SaleOpen, StartsAt: at.Add(-time.Hour), EndsAt: at.Add(time.Hour), Total: 4, Pending: 1, Settled: 3,
			Applied: 7, Now: at, OldestPending: at.Add(-3 * time.Second),
		},
	}}})
	require.InDelta(t, 150, v.Accepted, 0)
	require.InDelta(t, 10, v.Refused, 0)
	require.InDelta(t, 100, v.Settled, 0)
	require.EqualValues(t, 300, *v.Backlog, "each API sees the whole queue")
	require.InDelta(t, 3, *v.DrainSeconds, 0)
	require.InDelta(t, .3, *v.ToResultP50, 0)
	require.InDelta(t, 2, *v.ToResultP99, 0)
	require.Equal(t, map[string][]string{"mysql": {"api-1"}, "rocketmq": {"api-1", "api-2"}}, v.BreakersOpen)
	s := v.Sales[0]
	require.Equal(t, "sold_out", s.Status)
	require.InDelta(t, 3, s.OldestPending, 0)
	require.EqualValues(t, 2, s.Behind)
}
