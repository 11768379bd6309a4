package mysql_test

import (
	"database/sql"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/internal/telemetry/telemetrytest"
	"seckill/internal/testenv"
	"seckill/order"
)

func TestEachStatementOfASettlementIsPartOfItsTrace(t *testing.T) {
	t.Parallel()
	testenv.MySQLs(t, func(t *testing.T, db *sql.DB) {
		store := newStore(db)
		sale := createSale(t, store, 10)
		tracer, spans := telemetrytest.New(t, 1)
		ctx, span := telemetrytest.Request(t, tracer)
		_, err := store.Settle(ctx, []order.Order{
			{ID: 1 << 40, SaleID: sale.ID, ShopperID: "a-shopper", Quantity: 1},
			{ID: 1<<40 + 1, SaleID: sale.ID, ShopperID: "a-shopper", Quantity: 1},
		})
		require.NoError(t, err)
		_, err = store.Settle(t.Context(), []order.Order{{ID: 1<<40 + 2, SaleID: sale.ID, ShopperID: "b-shopper", Quantity: 1}})
		require.NoError(t, err)
		span.End(nil)

		transaction := spans.One("transaction")
		require.True(t, transaction.Inside(spans.One("POST /")))
		for _, name := range []string{"INSERT orders", "UPDATE sales", "INSERT sale_changes", "COMMIT"} {
			for _, s := range spans.Named(name) {
				require.True(t, s.Inside(transaction), name)
				require.Equal(t, "mysql", s.Attrs["db.system.name"])
			}
			require.NotEmpty(t, spans.Named(name), name)
		}
		for _, s := range spans.All() {
			for key, value := range s.Attrs {
				require.NotContains(t, fmt.Sprint(value), "shopper", "%s of %s", key, s.Name)
			}
		}
	})
}
