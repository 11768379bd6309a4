package mysql_test

import (
	"bytes"
	"database/sql"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/internal/testenv"
	"seckill/order/mysql"
	"seckill/order/storetest"
)

func TestAFullListOfSalesLeavesOutWhatNeedsNobodyYet(t *testing.T) {
	t.Parallel()
	testenv.MySQLs(t, func(t *testing.T, db *sql.DB) {
		t.Parallel()
		var log bytes.Buffer
		store := mysql.NewStore(db, slog.New(slog.NewTextHandler(&log, nil)))
		storetest.FullList(t, store)
		_, err := store.Sales(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(log.String(), "more sales than are handled"), "once a minute")
	})
}
