package mysql_test

import (
	"bytes"
	"database/sql"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/testenv"
	"seckill/order"
	"seckill/order/mysql"
)

func TestAFullListOfSalesLeavesOutWhatNeedsNobodyYet(t *testing.T) {
	t.Parallel()
	testenv.MySQLs(t, func(t *testing.T, db *sql.DB) {
		t.Parallel()
		var log bytes.Buffer
		store := mysql.NewStore(db, slog.New(slog.NewTextHandler(&log, nil)))
		id := testenv.SaleID()
		next := func() int64 { id++; return id } // what is made later would push out what was made first
		create := func(startsIn time.Duration, to ...order.SaleState) int64 {
			sale, err := store.CreateSale(t.Context(), order.Sale{
				ID: next(), Title: "sale", Currency: "CNY", Total: 1, OrdersPerShopper: 1, UnitsPerOrder: 1,
				StartsAt: time.Now().Add(startsIn), EndsAt: time.Now().Add(startsIn + time.Hour), PayWithin: time.Minute,
			})
			require.NoError(t, err)
			for _, state := range to {
				_, err = store.SetSaleState(t.Context(), string(state)+order.ID(sale.ID).String(), sale.ID, state)
				require.NoError(t, err)
			}
			return sale.ID
		}
		wanted := []int64{create(0, order.SaleOpen), create(0, order.SaleEnded), create(30 * time.Minute)}
		for range 998 {
			create(2 * time.Hour)
		}
		for range 2 {
			sales, err := store.Sales(t.Context())
			require.NoError(t, err)
			require.Len(t, sales, 1000)
			var listed []int64
			for _, sale := range sales {
				listed = append(listed, sale.ID)
			}
			require.Subset(t, listed, wanted)
			require.IsDecreasing(t, listed, "newest first")
		}
		require.Equal(t, 1, strings.Count(log.String(), "more sales than are handled"), "once a minute")
	})
}
