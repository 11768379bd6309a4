package mysql_test

import (
	"log/slog"
	"strings"
	"testing"

	driver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"seckill/internal/testenv"
	"seckill/order"
	"seckill/order/mysql"
)

func TestARehearsalFailsWhereverAnOrderWouldAndSaysWhy(t *testing.T) {
	t.Parallel()
	testenv.SQLServers(t, nil, func(t *testing.T, server *testenv.SQLServer) {
		db, err := mysql.OpenDB(server.Shop.FormatDSN(), mysql.DBOptions{MaxConns: 2})
		require.NoError(t, err)
		defer db.Close()
		require.NoError(t, mysql.Migrate(t.Context(), db, slog.New(slog.DiscardHandler)))
		var logs testenv.Logs
		store := mysql.NewStore(db, slog.New(slog.NewTextHandler(&logs, nil)))
		admin := func(statement string) {
			t.Helper()
			_, err := server.Admin.ExecContext(t.Context(), statement)
			require.NoError(t, err)
		}
		require.NoError(t, store.Rehearse(t.Context()))
		for _, table := range []string{"sales", "orders", "sale_changes"} {
			var rows int
			require.NoError(t, db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&rows))
			require.Zero(t, rows, table)
		}

		// A failover: what was the primary is a replica now.
		admin("SET GLOBAL read_only = 1")
		require.NoError(t, store.Ping(t.Context()), "which is all that was asked before")
		err = store.Rehearse(t.Context())
		require.ErrorContains(t, err, "1290")
		require.ErrorContains(t, err, "read-only", "the server's reason, not a bad connection")
		_, err = store.NextNodeID(t.Context())
		require.ErrorContains(t, err, "1290")
		require.ErrorContains(t, store.AddDeadLetter(t.Context(), order.DeadLetter{MessageID: "m"}), "1290")
		require.Zero(t, db.Stats().OpenConnections, "a new one may reach the new primary")
		admin("SET GLOBAL read_only = 0")
		require.NoError(t, store.Rehearse(t.Context()))

		admin("REVOKE ALL ON seckill.* FROM shop@'127.0.0.1'")
		for _, missing := range []string{"INSERT", "UPDATE"} {
			admin("GRANT " + strings.TrimSuffix(strings.ReplaceAll("SELECT, INSERT, UPDATE, DELETE, ", missing+", ", ""), ", ") + " ON seckill.* TO shop@'127.0.0.1'")
			require.NoError(t, db.Close())
			db, err = mysql.OpenDB(server.Shop.FormatDSN(), mysql.DBOptions{MaxConns: 2})
			require.NoError(t, err)
			err = mysql.NewStore(db, slog.Default()).Rehearse(t.Context())
			var denied *driver.MySQLError
			require.ErrorAs(t, err, &denied)
			require.Equal(t, uint16(1142), denied.Number)
			require.Contains(t, denied.Message, missing+" command denied")
			admin("REVOKE ALL ON seckill.* FROM shop@'127.0.0.1'")
		}
	})
}
