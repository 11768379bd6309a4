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

// leaving is the store of an operator who goes away as soon as a sale is paused.
// It refuses calls of who is gone, as the driver does.
type leaving struct {
	*memory.Store
	leave  func()
	events *[]string
}

func (l *leaving) Operate(ctx context.Context, op order.Operation) (order.Sale, error) {
	if err := ctx.Err(); err != nil {
		return order.Sale{}, err
	}
	*l.events = append(*l.events, op.Action.Name)
	sale, err := l.Store.Operate(ctx, op)
	l.leave()
	return sale, err
}

// told notes when Redis is told of a sale.
type told struct {
	*stock.Ledger
	events *[]string
}

func (l *told) Announce(ctx context.Context, saleID int64) error {
	*l.events = append(*l.events, "told")
	return l.Ledger.Announce(ctx, saleID)
}

// asOneWhoLeaves sends a POST of alice under a context that leave ends.
func (d *adminAPI) asOneWhoLeaves(ctx context.Context, path string) int {
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, adminhttp.Prefix+path, nil)
	req.Header.Set("Authorization", "Bearer alice")
	rec := httptest.NewRecorder()
	d.handler.ServeHTTP(rec, req)
	return rec.Code
}

func TestPauseAllPausesAllBeforeItTellsRedisAndWithoutItsOperator(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	ids := []int64{d.sale(1), d.sale(1), d.sale(1)}
	ctx, leave := context.WithCancel(t.Context())
	var events []string
	d.opts.Operations, d.opts.Ledger = &leaving{d.store, leave, &events}, &told{d.ledger, &events}
	d.reopen()
	require.Equal(t, http.StatusOK, d.asOneWhoLeaves(ctx, "sales/pause"))
	require.Equal(t, []string{"pause", "pause", "pause", "told", "told", "told"}, events)
	for _, id := range ids {
		require.Equal(t, order.SalePaused, d.meta(id).State)
	}
}

// abandoned is a rebuild whose operator goes away when it has begun.
type abandoned struct {
	*reconcile.Rebuilder
	leave func()
}

func (a *abandoned) Rebuild(ctx context.Context, saleID int64) (reconcile.Rebuilt, error) {
	a.leave()
	return a.Rebuilder.Rebuild(ctx, saleID)
}

func TestARebuildIsFinishedWithoutItsOperator(t *testing.T) {
	t.Parallel()
	d := newAdminAPI(t)
	id := d.sale(10)
	ctx, leave := context.WithCancel(t.Context())
	rebuilder, ok := d.opts.Rebuilder.(*reconcile.Rebuilder)
	require.True(t, ok)
	d.opts.Rebuilder = &abandoned{rebuilder, leave}
	d.reopen()
	before := d.meta(id).Epoch
	require.Equal(t, http.StatusOK, d.asOneWhoLeaves(ctx, path(id, "/rebuild")))
	require.Greater(t, d.meta(id).Epoch, before)
}
