package mysql_test

import (
	"database/sql"
	"log/slog"
	"testing"

	"seckill/internal/testenv"
	"seckill/order/mysql"
	"seckill/order/storetest"
)

func TestStoreConformsOnEachServer(t *testing.T) {
	t.Parallel()
	testenv.MySQLs(t, func(t *testing.T, db *sql.DB) {
		t.Parallel()
		storetest.Run(t, newStore(db))
	})
}

func newStore(db *sql.DB) *mysql.Store {
	return mysql.NewStore(db, slog.New(slog.DiscardHandler))
}
