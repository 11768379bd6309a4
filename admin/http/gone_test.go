package adminhttp_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	adminhttp "seckill/admin/http"
	"seckill/order"
	"seckill/order/memory"
	"seckill/reconcile"
	"seckill/stock"
)

// disconnectingStore disconnects the operator as soon as a sale is paused. Like the
// driver, it refuses calls whose context has ended.
type disconnectingStore struct {
	*memory.Store
	disconnect func()
	events     *[]string
}

func (s *disconnectingStore) Operate(ctx context.Context, op order.Operation) (order.Sale, error) {
	if err := ctx.Err(); err != nil {
		return order.Sale{}, err
	}
	*s.events = append(*s.events, op.Action.Name)
	sale, err := s.Store.Operate(ctx, op)
	s.disconnect()
	return sale, err
}

// recordingLedger records announcements to Redis.
type recordingLedger struct {
	*stock.Ledger
	events *[]string
}

func (l *recordingLedger) Announce(ctx context.Context, saleID int64) error {
	*l.events = append(*l.events, "announced")
	return l.Ledger.Announce(ctx, saleID)
}

// postUnder sends a POST of alice under a context.
func (d *adminAPI) postUnder(ctx context.Context, path string) int {
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, adminhttp.Prefix+path, nil)
	req.Header.Set("Authorization", "Bearer alice")
	rec := httptest.NewRecorder()
	d.handler.ServeHTTP(rec, req)
	return rec.Code
}

func TestPauseAllUpdatesMySQLBeforeRedisAndContinuesAfterADisconnect(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	ids := []int64{d.sale(1), d.sale(1), d.sale(1)}
	ctx, disconnect := context.WithCancel(t.Context())
	var events []string
	d.opts.Operations, d.opts.Ledger = &disconnectingStore{d.store, disconnect, &events}, &recordingLedger{d.ledger, &events}
	d.reopen()
	require.Equal(t, http.StatusOK, d.postUnder(ctx, "sales/pause"))
	require.Equal(t, []string{"pause", "pause", "pause", "announced", "announced", "announced"}, events)
	for _, id := range ids {
		require.Equal(t, order.SalePaused, d.meta(id).State)
	}
}

// disconnectingRebuilder disconnects the operator when a rebuild starts.
type disconnectingRebuilder struct {
	*reconcile.Rebuilder
	disconnect func()
}

func (r *disconnectingRebuilder) Rebuild(ctx context.Context, saleID int64) (reconcile.Rebuilt, error) {
	r.disconnect()
	return r.Rebuilder.Rebuild(ctx, saleID)
}

func TestARebuildContinuesAfterADisconnect(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	id := d.sale(10)
	ctx, disconnect := context.WithCancel(t.Context())
	rebuilder, ok := d.opts.Rebuilder.(*reconcile.Rebuilder)
	require.True(t, ok)
	d.opts.Rebuilder = &disconnectingRebuilder{rebuilder, disconnect}
	d.reopen()
	before := d.meta(id).Epoch
	require.Equal(t, http.StatusOK, d.postUnder(ctx, path(id, "/rebuild")))
	require.Greater(t, d.meta(id).Epoch, before)
}
