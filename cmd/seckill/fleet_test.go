package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"seckill/admin"
	"seckill/fleet"
	"seckill/internal/config"
	"seckill/order"
)

func TestALimitGivesAConsumerNoMoreWorkersThanItsConnectionsAllow(t *testing.T) {
	t.Parallel()
	cfg, err := devConfig()
	require.NoError(t, err)
	cfg.MySQL.MaxConns = 8
	b, err := devBackend(cfg)
	require.NoError(t, err)
	defer b.close()
	var log bytes.Buffer
	back, err := newBack(cfg, b, prometheus.NewRegistry(), slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- back.pool.Run(ctx) }()
	defer func() { stop(); require.NoError(t, <-done) }()
	workers := func(limit, want int) {
		cfg.Consumer.Workers = limit
		back.apply(cfg, 1)
		require.Eventually(t, func() bool { return back.pool.Load().Workers == want }, 5*time.Second, time.Millisecond, "%d wanted", limit)
	}
	workers(4, 4)
	require.Empty(t, log.String())
	workers(64, 4)
	require.Equal(t, 1, strings.Count(log.String(), "SECKILL_MYSQL_MAX_CONNS"), log.String())
	workers(3, 3)
}

// applied is a role that says what it was told.
type applied chan config.Config

func (applied) look(*fleet.Instance) fleet.Totals { return fleet.Totals{} }
func (a applied) apply(cfg config.Config, _ int)  { a <- cfg }

func TestALimitThatThisVersionDoesNotTakeIsShownAndKeepsNoOtherBack(t *testing.T) {
	t.Parallel()
	cfg, err := devConfig()
	require.NoError(t, err)
	b, err := devBackend(cfg)
	require.NoError(t, err)
	defer b.close()
	log := slog.New(slog.DiscardHandler)
	_, err = b.desk.ChangeLimits(t.Context(), order.LimitsChange{Command: "c", Values: map[string]*json.Number{
		"consumer_workers": new(json.Number("1000")), "of_a_newer_version": new(json.Number("1")), "drain_rate": new(json.Number("7")),
	}})
	require.NoError(t, err)
	told := make(applied, 100)
	m := newMember(cfg, b, fleet.RoleConsumer, told, &net.TCPAddr{IP: net.IPv4zero, Port: 8081}, prometheus.NewRegistry(), log)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	defer func() { stop(); require.NoError(t, <-done) }()
	now := <-told
	require.InDelta(t, 7, now.Consumer.DrainRate, 0)
	require.Equal(t, cfg.Consumer.Workers, now.Consumer.Workers)

	service := newService(cfg, b, log)
	var l admin.LimitsStatus
	require.Eventually(t, func() bool {
		l, err = service.LimitsInForce(t.Context())
		return err == nil && len(l.Instances) == 1 && l.Instances[0].LimitsRefused != ""
	}, 5*time.Second, 5*time.Millisecond)
	var out strings.Builder
	require.NoError(t, (&process{stdout: &out}).showLimits(service.ViewLimitsStatus(l)))
	require.Contains(t, out.String(), "in force in 0 of 1 instances")
	require.Contains(t, out.String(), "lags: it has generation 0 and refuses of the newest: consumer_workers: ")
	require.Contains(t, out.String(), "; of_a_newer_version: ")
	live := admin.ViewLive(admin.Live{Instances: l.Instances})
	require.Contains(t, strings.Join(troubles(live), "\n"), "refuses a part of the limits")
}
