package consumer_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"seckill/consumer"
)

// observed returns the value of a counter, or how often a histogram observed,
// by the label result.
func observed(t *testing.T, reg *prometheus.Registry, name string) map[string]int {
	t.Helper()
	fs, err := reg.Gather()
	require.NoError(t, err)
	values := map[string]int{}
	for _, f := range fs {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				result := ""
				for _, l := range m.GetLabel() {
					result = l.GetValue()
				}
				values[result] = int(m.GetCounter().GetValue()) + int(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return values
}

func TestTheWriteBackStopsNoAcknowledgement(t *testing.T) {
	t.Parallel()
	for failures, err := range []error{nil, errors.New("redis is down")} {
		synctest.Test(t, func(t *testing.T) {
			reg := prometheus.NewRegistry()
			r := start(t, 1, func(r *rig) {
				r.redis.err, r.change = err, func(o *consumer.Options) { o.Metrics = reg }
				r.mysql.known.Store(1)
			})
			defer r.stop()
			require.NoError(t, r.receiver.Handle(t.Context(), delivery(1, 1)))
			require.NoError(t, r.receiver.Handle(t.Context(), delivery(2, 1)))
			require.Equal(t, 2, r.mysql.settled())
			require.Len(t, r.redis.replays, 1)
			require.EqualValues(t, 1, r.redis.replays[0][0].ID, "a verdict that was only read")
			require.Len(t, r.redis.applied, 1, "a verdict that was committed")
			require.EqualValues(t, 2, r.redis.applied[0].Verdicts[0].ID)
			require.Equal(t, map[string]int{"": 2 * failures}, observed(t, reg, "seckill_write_back_failures_total"))
			require.Equal(t, map[string]int{"": 1}, observed(t, reg, "seckill_redeliveries_total"))
			require.Equal(t, map[string]int{"ok": 2, "error": 0}, observed(t, reg, "seckill_settle_duration_seconds"))
			require.Equal(t, map[string]int{"confirmed": 1, "rejected": 0}, observed(t, reg, "seckill_time_to_result_seconds"))
		})
	}
}
