package api

import (
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"seckill/catalog"
	"seckill/order"
)

func TestInflight_FreesAPlaceOnceAndOnlyWhenItWasTaken(t *testing.T) {
	t.Parallel()
	var f inflight
	f.limit.Store(2)
	for range 3 {
		require.True(t, f.enter())
		require.True(t, f.enter())
		require.False(t, f.enter())
		require.False(t, f.enter())
		f.leave()
		require.True(t, f.enter())
		f.leave()
		f.leave()
	}
}

func TestFastPath_KeepsTheRefusalsOfManySalesWithinItsBound(t *testing.T) {
	t.Parallel()
	f := &fastPath{}
	kept := make(map[int64]*refusals)
	for id := range int64(maxPrebuilt - 1) {
		kept[-id] = &refusals{}
	}
	f.ready.Store(&kept)
	for id, want := range []int{maxPrebuilt, 1, 2} {
		sale := &catalog.Snapshot{Sale: order.Sale{ID: int64(id + 1)}}
		built := f.prebuilt(sale)
		require.Same(t, built, f.prebuilt(sale))
		require.Len(t, *f.ready.Load(), want)
	}
}

func TestMetrics_CountEachStatusByItself(t *testing.T) {
	t.Parallel()
	m := NewMetrics(prometheus.NewRegistry())
	statuses := []int{200, 202, 404, 409, 599}
	for _, status := range statuses {
		m.answered(m.route(routeBuy), status)
	}
	m.answered(m.route(routeTime), 999)
	m.inflight.Inc()
	require.InDelta(t, 1, valueOf(m.inflight), 0)
	for _, status := range statuses {
		require.InDelta(t, 1, valueOf(m.requests.WithLabelValues(routeBuy, strconv.Itoa(status))), 0, status)
	}
}

func TestNumbers_AreReadToTheirLimits(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]int{0: 1, 1: 1, time.Second: 1, time.Second + 1: 2, 2 * time.Second: 2} {
		require.Equal(t, want, seconds(d), d)
	}
	id, ok := parseSaleID("9223372036854775807")
	require.True(t, ok)
	require.EqualValues(t, math.MaxInt64, id)
}

func TestWaiters_WakeThoseWhoStayAndForgetThoseWhoLeft(t *testing.T) {
	t.Parallel()
	w := newWaiters()
	w.setLimit(2)
	left, stays := w.join(1), w.join(1)
	require.Nil(t, w.join(2), "the limit is reached")
	w.leave(1, left)
	w.wake(0, []order.ID{1})
	require.Len(t, stays, 1)
	require.Empty(t, left)
	w.leave(1, stays)
	require.Empty(t, w.waiting)
	require.NotNil(t, w.join(2))
}

func TestPerShopper_ForgetsWhoHasNothingInProgress(t *testing.T) {
	t.Parallel()
	p := newPerShopper(1)
	for range 2 {
		require.True(t, p.enter("ann"))
		require.False(t, p.enter("ann"))
		require.True(t, p.enter("bob"))
		p.leave("ann")
		p.leave("bob")
		require.Empty(t, p.n)
	}
}
