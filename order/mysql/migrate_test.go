package mysql_test

import (
	"database/sql"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/testenv"
	"seckill/order/mysql"
)

func TestManyMayMigrateAtOnce(t *testing.T) {
	t.Parallel()
	testenv.MySQLs(t, func(t *testing.T, db *sql.DB) {
		t.Parallel()
		_, err := db.ExecContext(t.Context(), `DROP TABLE goose_db_version, sales, orders, sale_changes, sale_commands, dead_letters, counters`)
		require.NoError(t, err)
		ms, err := mysql.MigrationStatus(t.Context(), db)
		require.NoError(t, err)
		for _, m := range ms {
			require.False(t, m.Applied)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if err := mysql.Migrate(t.Context(), db, slog.New(slog.DiscardHandler)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		ms, err = mysql.MigrationStatus(t.Context(), db)
		require.NoError(t, err)
		require.NotEmpty(t, ms)
		for _, m := range ms {
			require.True(t, m.Applied)
			require.NotZero(t, m.Version)
		}
		// Cut after its work and before it was noted: each runs again.
		_, err = db.ExecContext(t.Context(), `DELETE FROM goose_db_version WHERE version_id > 0`)
		require.NoError(t, err)
		require.NoError(t, mysql.Migrate(t.Context(), db, slog.New(slog.DiscardHandler)))
		n, err := newStore(db).NextNodeID(t.Context())
		require.NoError(t, err)
		require.Equal(t, int64(1), n)
	})
}

func TestTheSettingsOfAPoolAreOursWhateverTheDSNSays(t *testing.T) {
	t.Parallel()
	testenv.MySQLs(t, func(t *testing.T, db *sql.DB) {
		t.Parallel()
		var wait int
		var zone, mode, collation string
		var now time.Time
		require.NoError(t, db.QueryRowContext(t.Context(),
			`SELECT @@innodb_lock_wait_timeout, @@time_zone, @@sql_mode, @@collation_connection, NOW(3)`).Scan(&wait, &zone, &mode, &collation, &now))
		require.Equal(t, 4, wait)
		require.Equal(t, "+00:00", zone)
		require.Contains(t, mode, "STRICT_ALL_TABLES")
		require.Equal(t, "utf8mb4_bin", collation)
		require.WithinDuration(t, time.Now(), now, time.Minute)
	})
	_, err := mysql.OpenDB("no DSN", mysql.DBOptions{})
	require.Error(t, err)
	db, err := mysql.OpenDB("u:p@tcp(127.0.0.1:1)/d?interpolateParams=false&clientFoundRows=true&multiStatements=true&loc=Local&charset=gbk", mysql.DBOptions{})
	require.NoError(t, err)
	require.NoError(t, db.Close())
}
