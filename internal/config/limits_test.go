package config_test

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/internal/config"
)

func TestLimitsStandOverTheConfigurationOneByOne(t *testing.T) {
	t.Parallel()
	own, err := config.Load([]string{"SECKILL_SHOPPER_RPS=3", "SECKILL_CONSUMER_WORKERS=5"}, "")
	require.NoError(t, err)
	require.Equal(t, map[string]json.Number{
		"shopper_rps": "3", "shopper_burst": "50", "address_rps": "0", "buy_inflight": "4096", "poll_inflight": "4096",
		"held_polls": "20000", "backlog_limit": "300000", "consumer_workers": "5", "drain_rate": "0",
	}, own.Limits())
	for name, v := range own.Limits() {
		_, err := config.ParseLimit(name, v.String())
		require.NoError(t, err, "each has a setting: %s", name)
	}

	c, err := own.With(map[string]json.Number{"consumer_workers": "8", "drain_rate": "-1", "shopper_burst": "2.5", "mysql_dsn": "1"})
	for _, bad := range []string{"drain_rate: ", "shopper_burst: ", "mysql_dsn: "} {
		require.ErrorContains(t, err, bad)
	}
	require.Equal(t, 8, c.Consumer.Workers, "what is good holds")
	require.Equal(t, own.API, c.API, "what is bad stays as configured")
	require.Equal(t, 5, own.Consumer.Workers)
}

func TestALimitHasOneSpelling(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]json.Number{"5.0": "5", "1e3": "1000", "0.50": "0.5", "+2": "2"} {
		v, err := config.ParseLimit("drain_rate", in)
		require.NoError(t, err)
		require.Equal(t, want, v)
	}
	_, err := config.ParseLimit("listen", "127.0.0.1:1")
	require.ErrorIs(t, err, config.ErrNoLimit)
}

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
