package app

import (
	"bytes"
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
	"seckill/internal/testenv"
	"seckill/order"
)

func TestALimitGivesAConsumerNoMoreWorkersThanItsConnectionsAllow(t *testing.T) {
	t.Parallel()
	cfg, err := DevConfig()
	require.NoError(t, err)
	cfg.MySQL.MaxConns = 8
	b, err := devBackend(cfg)
	require.NoError(t, err)
	defer b.close()
	var log bytes.Buffer
	consumer, err := newConsumerRole(cfg, b, prometheus.NewRegistry(), slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	defer testenv.Start(t, consumer.pool.Run)()
	workers := func(limit, want int) {
		cfg.Consumer.Workers = limit
		consumer.apply(cfg, 1)
		require.Eventually(t, func() bool { return consumer.pool.Load().Workers == want }, 5*time.Second, time.Millisecond, "%d wanted", limit)
	}
	workers(4, 4)
	require.Empty(t, log.String())
	workers(64, 4)
	require.Equal(t, 1, strings.Count(log.String(), "SECKILL_MYSQL_MAX_CONNS"), log.String())
	workers(3, 3)
}

// recordingRole passes on the limits it gets.
type recordingRole chan config.Config

func (recordingRole) describe(*fleet.Instance) fleet.Totals { return fleet.Totals{} }
func (r recordingRole) apply(cfg config.Config, _ int)      { r <- cfg }

func TestALimitThatThisVersionDoesNotTakeIsShownAndKeepsNoOtherBack(t *testing.T) {
	t.Parallel()
	cfg, err := DevConfig()
	require.NoError(t, err)
	b, err := devBackend(cfg)
	require.NoError(t, err)
	defer b.close()
	log := slog.New(slog.DiscardHandler)
	_, err = b.operators.ChangeLimits(t.Context(), order.LimitsChange{Command: "c", Values: map[string]*json.Number{
		"consumer_workers": new(json.Number("1000")), "of_a_newer_version": new(json.Number("1")), "drain_rate": new(json.Number("7")),
	}})
	require.NoError(t, err)
	limits := make(recordingRole, 100)
	m := newMember(cfg, b, fleet.RoleConsumer, limits, &net.TCPAddr{IP: net.IPv4zero, Port: 8081}, prometheus.NewRegistry(), log)
	defer testenv.Start(t, m.Run)()
	now := <-limits
	require.InDelta(t, 7, now.Consumer.DrainRate, 0)
	require.Equal(t, cfg.Consumer.Workers, now.Consumer.Workers)

	service := newService(cfg, b, log)
	var l admin.LimitsStatus
	require.Eventually(t, func() bool {
		l, err = service.LimitsInForce(t.Context())
		return err == nil && len(l.Instances) == 1 && l.Instances[0].LimitsRefused != ""
	}, 5*time.Second, 5*time.Millisecond)
	refused := l.Instances[0].LimitsRefused
	require.Contains(t, refused, "consumer_workers: ")
	require.Contains(t, refused, "; of_a_newer_version: ")
	require.Zero(t, l.Instances[0].Generation)
}
