package order_test

import (
	"database/sql"
	"log/slog"
	"testing"

	"seckill/internal/testenv"
	"seckill/order"
	"seckill/order/ordertest"
)

func TestStoreConformsOnEachServer(t *testing.T) {
	t.Parallel()
	testenv.MySQLs(t, func(t *testing.T, db *sql.DB) {
		t.Parallel()
		ordertest.Run(t, newStore(db))
	})
}

func newStore(db *sql.DB) *order.Store {
	return order.NewStore(db, slog.New(slog.DiscardHandler))
}
