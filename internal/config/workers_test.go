package config_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/internal/config"
)

func TestWorkersLeaveConnectionsToTheRestOfAConsumer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		workers, conns, most int
		ok                   bool
	}{{2, 8, 4, true}, {4, 8, 4, true}, {5, 8, 4, false}, {64, 68, 64, true}, {64, 67, 63, false}, {1, 5, 1, true}, {1, 4, 1, false}} {
		cfg, err := config.Load([]string{
			"SECKILL_CONSUMER_WORKERS=" + strconv.Itoa(c.workers), "SECKILL_MYSQL_MAX_CONNS=" + strconv.Itoa(c.conns),
		}, "")
		require.NoError(t, err, "an API with these settings is well")
		require.Equal(t, c.most, cfg.MySQL.MostWorkers(), c)
		if err := cfg.CheckConsumer(); c.ok {
			require.NoError(t, err, c)
		} else {
			require.ErrorContains(t, err, "SECKILL_MYSQL_MAX_CONNS="+strconv.Itoa(c.workers+4)+" or more", c)
		}
	}
	defaults, err := config.Load(nil, "")
	require.NoError(t, err)
	require.NoError(t, defaults.CheckConsumer())
}
