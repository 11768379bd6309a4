package event

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"seckill/order"
	"seckill/queue"
)

func TestAStatusWithoutASeriesDoesNotPanic(t *testing.T) {
	t.Parallel()
	m := newMetrics(prometheus.NewRegistry())
	require.NotPanics(t, func() { m.sent([]queue.EventMessage{{Status: order.Status("refunded")}}, time.Second, nil) })
}
