package main

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
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
