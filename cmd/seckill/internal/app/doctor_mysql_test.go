package app

import (
	"context"
	"database/sql"
	"log/slog"
	"strconv"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"seckill/internal/config"
	"seckill/internal/testenv"
)

func TestTheDoctorNamesWhatIsWrongWithMySQLAndTheCure(t *testing.T) {
	t.Parallel()
	testenv.SQLServers(t, []string{"--log-bin=binlog", "--server-id=1", "--binlog-format=ROW"}, func(t *testing.T, server *testenv.SQLServer) {
		do := func(t *testing.T, statements ...string) {
			t.Helper()
			for _, s := range statements {
				_, err := server.Admin.ExecContext(context.WithoutCancel(t.Context()), s)
				require.NoError(t, err, s)
			}
		}
		with := func(change func(*mysql.Config)) func(*testing.T) map[string]string {
			return func(*testing.T) map[string]string {
				c := server.Shop.Clone()
				change(c)
				return env{"MYSQL_DSN": c.FormatDSN()}
			}
		}
		// A server that has been changed, until the end of the subtest.
		set := func(change, back string) func(*testing.T) map[string]string {
			return func(t *testing.T) map[string]string {
				t.Helper()
				do(t, change)
				t.Cleanup(func() { do(t, back) })
				return nil
			}
		}
		global := func(name, wrong string) func(*testing.T) map[string]string {
			return func(t *testing.T) map[string]string {
				t.Helper()
				var was string
				require.NoError(t, server.Admin.QueryRowContext(t.Context(), "SELECT @@GLOBAL."+name).Scan(&was))
				if _, err := strconv.Atoi(was); err != nil {
					was = "'" + was + "'"
				}
				return set("SET GLOBAL "+name+" = "+wrong, "SET GLOBAL "+name+" = "+was)(t)
			}
		}
		var kind string
		require.NoError(t, server.Admin.QueryRowContext(t.Context(), "SELECT VERSION()").Scan(&kind))
		mariadb := strings.Contains(kind, "MariaDB")
		base := sharedBase(t)
		base["MYSQL_DSN"] = server.Shop.FormatDSN()
		require.NoError(t, MigrateSchema(t.Context(), config.MySQL{DSN: base["MYSQL_DSN"]}, slog.New(slog.DiscardHandler)))
		var last string
		require.NoError(t, server.Admin.QueryRowContext(t.Context(), "SELECT MAX(version_id) FROM seckill.goose_db_version").Scan(&last))
		faults := map[string]fault{
			"read-only":                        {global("read_only", "1"), "mysql writes", "read_only", "connect to the primary"},
			"a wrong password":                 {with(func(c *mysql.Config) { c.Passwd = "wrong" }), "mysql", "1045", "SECKILL_MYSQL_DSN"},
			"another database":                 {with(func(c *mysql.Config) { c.DBName = "shop" }), "mysql", "104", "GRANT"},
			"nothing there":                    {with(func(c *mysql.Config) { c.Addr = "127.0.0.1:1" }), "mysql", "connection refused", "SECKILL_MYSQL_DSN"},
			"no right to insert":               {set("REVOKE INSERT ON seckill.* FROM shop@'127.0.0.1'", "GRANT INSERT ON seckill.* TO shop@'127.0.0.1'"), "mysql writes", "INSERT command denied", "GRANT ALL"},
			"no right to update":               {set("REVOKE UPDATE ON seckill.* FROM shop@'127.0.0.1'", "GRANT UPDATE ON seckill.* TO shop@'127.0.0.1'"), "mysql writes", "UPDATE command denied", "GRANT ALL"},
			"a missing migration":              {set("DELETE FROM seckill.goose_db_version WHERE version_id = "+last, "INSERT INTO seckill.goose_db_version (version_id, is_applied) VALUES ("+last+", 1)"), "mysql schema", "is not applied", "seckill migrate up"},
			"a newer schema":                   {set("INSERT INTO seckill.goose_db_version (version_id, is_applied) VALUES (999, 1)", "DELETE FROM seckill.goose_db_version WHERE version_id = 999"), "mysql schema", "999", "finish the rolling update"},
			"no tables":                        {set("RENAME TABLE seckill.sale_changes TO seckill.elsewhere", "RENAME TABLE seckill.elsewhere TO seckill.sale_changes"), "mysql writes", "1146", "seckill migrate up"},
			"tables that roll nothing back":    {set("ALTER TABLE seckill.orders ENGINE = MyISAM", "ALTER TABLE seckill.orders ENGINE = InnoDB"), "mysql writes", "orders is MyISAM", "ENGINE = InnoDB"},
			"small packets":                    {global("max_allowed_packet", "524288"), "mysql", "max_allowed_packet", "SET GLOBAL max_allowed_packet"},
			"statements in the binary log":     {global("binlog_format", "'STATEMENT'"), "mysql", "binlog_format", "SET GLOBAL binlog_format = 'ROW'"},
			"commits that are not flushed":     {global("innodb_flush_log_at_trx_commit", "2"), "mysql durability", "is 2", "innodb_flush_log_at_trx_commit=1"},
			"a binary log that is not flushed": {global("sync_binlog", "0"), "mysql binary log", "sync_binlog is 0", "sync_binlog=1"},
			"too few connections":              {global("max_connections", "10"), "mysql connections", "16 of 10", "raise max_connections"},
			"too few connections of the user":  {set("ALTER USER shop@'127.0.0.1' WITH MAX_USER_CONNECTIONS 3", "ALTER USER shop@'127.0.0.1' WITH MAX_USER_CONNECTIONS 0"), "mysql connections", "16 of 3", "MAX_USER_CONNECTIONS"},
			"a user that must use TLS":         {set("ALTER USER shop@'127.0.0.1' REQUIRE SSL", "ALTER USER shop@'127.0.0.1' REQUIRE NONE"), "mysql", "1045", "SECKILL_MYSQL_TLS=true"},
			"a locked user":                    {set("ALTER USER shop@'127.0.0.1' ACCOUNT LOCK", "ALTER USER shop@'127.0.0.1' ACCOUNT UNLOCK"), "mysql", "locked", "ACCOUNT UNLOCK"},
			"an expired password":              {set("ALTER USER shop@'127.0.0.1' PASSWORD EXPIRE", "ALTER USER shop@'127.0.0.1' IDENTIFIED BY 'shop'"), "mysql", "18", "has expired"},
			"no TLS":                           {func(*testing.T) map[string]string { return env{"MYSQL_TLS": "true"} }, "mysql", "TLS", "no TLS"},
		}
		if !mariadb { // it has a TLS of its time
			faults["no TLS"] = fault{faults["no TLS"].change, "mysql", "handshake", "TLS 1.2"}
			expired := faults["an expired password"]
			expired.change = set("ALTER USER shop@'127.0.0.1' PASSWORD EXPIRE", "ALTER USER shop@'127.0.0.1' IDENTIFIED WITH mysql_native_password BY 'shop'")
			faults["an expired password"] = expired
		}
		diagnose(t, base, faults)

		// Defaults of the server that each connection sets for itself do no harm.
		for name, wrong := range map[string]string{"autocommit": "0", "transaction_isolation": "'SERIALIZABLE'", "sql_mode": "''"} {
			if mariadb && name == "transaction_isolation" {
				name = "tx_isolation"
			}
			global(name, wrong)(t)
		}
		for _, f := range examine(t, base) {
			require.True(t, f.OK, "%+v", f)
		}
	})
}

// A tablespace that must not grow is as a disk that is full.
func TestTheDoctorNamesAFullDiskOfMySQL(t *testing.T) {
	t.Parallel()
	server := testenv.MariaDB(t, "--innodb-file-per-table=0", "--innodb-data-file-path=ibdata1:12M:autoextend:max:100M")
	base := sharedBase(t)
	base["MYSQL_DSN"] = server.Shop.FormatDSN()
	require.NoError(t, MigrateSchema(t.Context(), config.MySQL{DSN: base["MYSQL_DSN"]}, slog.New(slog.DiscardHandler)))
	diagnose(t, base, map[string]fault{"full": {func(t *testing.T) map[string]string {
		t.Helper()
		fill(t, server.Admin)
		return nil
	}, "mysql writes", "full", "free space"}})
}

// fill makes the tablespace full, down to the pages that the tables have left.
func fill(t *testing.T, db *sql.DB) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), `CREATE TABLE seckill.filler (b LONGBLOB) ENGINE = InnoDB`)
	require.NoError(t, err)
	for _, size := range []int{1 << 20, 1 << 14, 1 << 10} {
		for err = error(nil); err == nil; {
			_, err = db.ExecContext(t.Context(), `INSERT INTO seckill.filler VALUES (REPEAT('x', ?))`, size)
		}
	}
	for i := range 2000 { // what the pages of the tables of a rehearsal still hold
		_, err := db.ExecContext(t.Context(), `INSERT INTO seckill.sale_changes (sale_id, seq, changes) VALUES (?, 1, REPEAT('x', 4000))`, -i-1)
		if err != nil {
			return
		}
	}
}
