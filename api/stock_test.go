package api_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/api"
	"seckill/catalog"
	"seckill/internal/auth"
	"seckill/internal/testenv"
	"seckill/order"
	"seckill/order/lookup"
	"seckill/order/mysql"
	"seckill/stock"
)

// The real ledger, collector and catalog on the real scripts: what they answer
// is what the fakes of the other tests say they do.
func TestAPurchaseAgainstTheRealLedger(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	ledger := stock.New(testenv.Miniredis(t))
	sale := saleAt(testenv.SaleID())
	sale.Total, sale.Available, sale.OrdersPerShopper = 2, 2, 1
	load, err := ledger.Begin(ctx, sale)
	require.NoError(t, err)
	require.NoError(t, load.Finish(ctx, sale))

	s := newShop(t)
	s.catalog = catalog.New(func(context.Context) ([]order.Sale, error) { return []order.Sale{sale}, nil }, ledger, slog.New(slog.DiscardHandler))
	collector := stock.NewCollector(ledger, stock.CollectorOptions{SoldOut: s.catalog.MarkSoldOut})
	t.Cleanup(collector.Close)
	s.opts.Catalog, s.opts.Reserver, s.opts.Stock = s.catalog, collector, ledger
	s.reopen(t)
	path := "/v1/sales/" + order.ID(sale.ID).String() + "/orders"
	buy := func(shopper, body, key string) answer {
		return s.do(t, request("POST", path, body, "Authorization", "Bearer "+token(shopper), "Idempotency-Key", key))
	}

	first := buy("1", `{"reference":"r"}`, "")
	require.Equal(t, 202, first.StatusCode, first.text)
	again := buy("1", `{"reference":"r"}`, "")
	require.Equal(t, 202, again.StatusCode, again.text)
	require.Equal(t, "true", again.Header.Get("Idempotent-Replayed"))
	require.Equal(t, first.Header.Get("Location"), again.Header.Get("Location"))
	problem(t, buy("1", `{"reference":"other"}`, ""), 422, "idempotency-key-reused")
	limit := buy("1", `{"reference":"r"}`, "a key")
	problem(t, limit, 409, "purchase-limit")
	require.Equal(t, first.Header.Get("Location"), limit.str("order_url"))
	problem(t, buy("2", `{"quantity":2}`, ""), 409, "sold-out") // one is left
	require.Equal(t, 202, buy("2", "", "the key").StatusCode)
	gone := buy("1", `{"reference":"r"}`, "")
	problem(t, gone, 409, "sold-out") // the answer was lost, and the sale sold out
	list := s.get(t, gone.str("orders_url"), "Authorization", "Bearer "+token("1"))
	require.Contains(t, list.text, first.str("id"), "orders_url finds it")
	poll := s.get(t, first.Header.Get("Location"), "Authorization", "Bearer "+token("1"))
	require.Equal(t, "pending", poll.str("status"))
	require.Equal(t, "r", poll.str("reference"))
	problem(t, s.get(t, first.Header.Get("Location"), "Authorization", "Bearer "+token("2")), 404, "not-found")
	require.Len(t, s.backends.published, 2)
}

// What the program passes in fits.
var _ = api.Options{
	Catalog: (*catalog.Catalog)(nil), Reserver: (*stock.Collector)(nil), Stock: (*stock.Ledger)(nil), Results: (*stock.Ledger)(nil),
	Lookup: (*lookup.Reader)(nil), Orders: (*mysql.Store)(nil), IDs: (*order.IDMaker)(nil), Tokens: (*auth.Verifier)(nil),
}
