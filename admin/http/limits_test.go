package adminhttp_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"seckill/admin"
	"seckill/fleet"
	"seckill/internal/testenv"
	"seckill/order"
)

func (r reply) limits(t *testing.T) (v admin.LimitsView) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(r.text), &v))
	return v
}

func TestLimitsAreChangedByGenerationAndSayWhereTheyComeFrom(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	read := d.want(200, http.MethodGet, "limits", "")
	require.Equal(t, `"1"`, read.header.Get("ETag"))
	v := read.limits(t)
	require.Len(t, v.Limits, 9)
	require.Equal(t, admin.LimitView{Value: "10", From: "configuration", Configured: "10"}, v.Limits["shopper_rps"])

	changed := d.want(200, http.MethodPatch, "limits", `{"shopper_rps":2.50,"consumer_workers":4}`, "If-Match", `"1"`)
	require.Equal(t, `"2"`, changed.header.Get("ETag"))
	v = d.want(200, http.MethodGet, "limits", "").limits(t)
	require.Equal(t, uint64(2), v.Generation)
	require.Equal(t, admin.LimitView{Value: "2.5", From: "operator", Configured: "10"}, v.Limits["shopper_rps"])
	require.Equal(t, admin.LimitView{Value: "4", From: "operator", Configured: "2"}, v.Limits["consumer_workers"])

	d.want(200, http.MethodPatch, "limits", `{"shopper_rps":null}`, "If-Match", `"2"`)
	v = d.want(200, http.MethodGet, "limits", "").limits(t)
	require.Equal(t, admin.LimitView{Value: "10", From: "configuration", Configured: "10"}, v.Limits["shopper_rps"])
	require.Equal(t, admin.FromOperator, v.Limits["consumer_workers"].From)
	again := d.want(200, http.MethodPatch, "limits", `{"consumer_workers":4}`, "If-Match", `"3"`)
	require.Equal(t, `"3"`, again.header.Get("ETag"), "nothing changed")

	log := d.history(order.AuditQuery{Actor: "alice"})
	require.Len(t, log, 2)
	require.JSONEq(t, `{"generation":1,"consumer_workers":null,"shopper_rps":null}`, string(log[1].Before))
	require.JSONEq(t, `{"generation":2,"consumer_workers":4,"shopper_rps":2.5}`, string(log[1].After))
}

func TestBadLimitsAreRefusedAllAtOnceAndChangeNothing(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	for _, c := range []struct {
		body   string
		status int
		code   string
		fields []string
	}{
		{
			`{"consumer_workers":0,"shopper_burst":1.5,"drain_rate":-1,"held_polls":0,"address_rps":1e10}`, 422, "validation",
			[]string{"/address_rps", "/consumer_workers", "/drain_rate", "/shopper_burst"},
		},
		{`{"consumer_workers":65,"shopper_rps":5}`, 422, "validation", []string{"/consumer_workers"}},
		{`{"mysql_max_conns":9,"nonsense":1}`, 400, "unexpected-field", []string{"/mysql_max_conns", "/nonsense"}},
		{`{"Shopper_rps":9}`, 400, "malformed-json", []string{"/Shopper_rps"}},
		{`{"shopper_rps":"9"}`, 400, "malformed-json", []string{"/shopper_rps"}},
		{`{"shopper_rps":true}`, 400, "malformed-json", []string{"/shopper_rps"}},
		{`{"shopper_rps":[9]}`, 400, "malformed-json", []string{"/shopper_rps"}},
		{`{"shopper_rps":01}`, 400, "malformed-json", nil},
		{`{"shopper_rps":1.00000000000000000000000000000000000000000000000000000000000000000000}`, 400, "malformed-json", []string{"/shopper_rps"}},
		{`{"shopper_rps":1,"shopper_rps":2}`, 400, "malformed-json", nil},
		{`[]`, 400, "malformed-json", nil},
	} {
		r := d.want(c.status, http.MethodPatch, "limits", c.body, "If-Match", `"1"`)
		require.Equal(t, c.code, r.body.Code, c.body)
		var pointers []string
		for _, e := range r.body.Errors {
			pointers = append(pointers, e.Pointer)
		}
		require.Equal(t, c.fields, pointers)
	}
	d.want(428, http.MethodPatch, "limits", `{"shopper_rps":1}`)
	d.want(400, http.MethodPatch, "limits", `{"shopper_rps":1}`, "If-Match", `W/"1"`)
	require.Equal(t, 403, d.as("victor", http.MethodPatch, "limits", `{"shopper_rps":1}`, "If-Match", `"1"`).status)
	require.Equal(t, 200, d.as("victor", http.MethodGet, "limits", "").status)
	require.Equal(t, 200, d.as("victor", http.MethodGet, "instances", "").status)
	d.want(405, http.MethodPost, "limits", `{"shopper_rps":1}`)
	require.Equal(t, uint64(1), d.want(200, http.MethodGet, "limits", "").limits(t).Generation)
	require.Empty(t, d.history(order.AuditQuery{}))
}

func TestOfTwoOperatorsWhoSawTheSameLimitsOneIsToldSo(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	statuses := make(chan int, 2)
	var wg sync.WaitGroup
	for who, body := range map[string]string{"alice": `{"shopper_rps":1}`, "bob": `{"shopper_rps":2}`} {
		wg.Go(func() { statuses <- d.as(who, http.MethodPatch, "limits", body, "If-Match", `"1"`).status })
	}
	wg.Wait()
	require.ElementsMatch(t, []int{200, 412}, []int{<-statuses, <-statuses})
	require.Len(t, d.history(order.AuditQuery{}), 1)
}

func TestAChangeOfLimitsIsMadeOnceUnderItsKey(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	for range 2 {
		r := d.want(200, http.MethodPatch, "limits", `{"shopper_rps":1}`, "If-Match", `"1"`, "Idempotency-Key", "k")
		require.Equal(t, `"2"`, r.header.Get("ETag"))
	}
	require.Equal(t, "idempotency-key-reused", d.want(422, http.MethodPatch, "limits", `{"shopper_rps":2}`, "If-Match", `"2"`, "Idempotency-Key", "k").body.Code)
}

func TestLimitsAreChangedWithoutRedisAndWhoLagsIsKnownWithIt(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	stuck := make(chan order.Limits, 1) // what MySQL returns to the process
	stuck <- order.Limits{Generation: 1}
	member := fleet.NewMember(fleet.Options{
		Fleet: d.fleet, Self: fleet.Instance{Role: fleet.RoleConsumer, AdminListen: "h:1"}, Look: func(*fleet.Instance) fleet.Totals { return fleet.Totals{Workers: 2} },
		Limits: func(context.Context) (order.Limits, error) { l := <-stuck; stuck <- l; return l, nil },
		Apply: func(l order.Limits, _ int) error {
			if l.Values["of_a_newer_version"] != "" {
				return errors.New("of_a_newer_version: there is no such limit")
			}
			return nil
		},
		Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
	})
	stop := testenv.Start(t, member.Run)
	lags := func() (is []admin.GenerationView) {
		return d.want(200, http.MethodGet, "limits", "").limits(t).Instances
	}
	require.Eventually(t, func() bool { is := lags(); return len(is) == 1 && is[0].Generation == 1 && !is[0].Lags }, 5*time.Second, 5*time.Millisecond)

	d.mini.SetError("away")
	d.want(200, http.MethodPatch, "limits", `{"shopper_rps":1}`, "If-Match", `"1"`)
	v := d.want(200, http.MethodGet, "limits", "").limits(t)
	require.Equal(t, uint64(2), v.Generation)
	require.NotEmpty(t, v.Error)
	require.Equal(t, "dependency-down", d.want(503, http.MethodGet, "instances", "").body.Code)
	d.mini.SetError("")

	require.Eventually(t, func() bool { is := lags(); return len(is) == 1 && is[0].Generation == 1 && is[0].Lags }, 5*time.Second, 5*time.Millisecond)
	<-stuck
	stuck <- order.Limits{Generation: 2}
	require.Eventually(t, func() bool { return !lags()[0].Lags }, 5*time.Second, 5*time.Millisecond)
	<-stuck
	stuck <- order.Limits{Generation: 2, Values: map[string]json.Number{"of_a_newer_version": "1"}}
	const refused = "of_a_newer_version: there is no such limit"
	require.Eventually(t, func() bool { is := lags(); return is[0].Lags && is[0].Refused == refused }, 5*time.Second, 5*time.Millisecond)
	r := d.want(200, http.MethodGet, "instances", "")
	require.Len(t, r.body.Items, 1)
	var i map[string]any
	require.NoError(t, json.Unmarshal(r.body.Items[0], &i))
	require.Equal(t, "consumer", i["role"])
	require.Equal(t, refused, i["limits_refused"])
	require.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`, i["started_at"])
	require.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`, i["seen_at"])
	stop()
	require.Empty(t, d.want(200, http.MethodGet, "instances", "").body.Items)
}
