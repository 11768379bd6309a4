package testenv

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	ordermysql "seckill/order/mysql"
)

// The variables that name the two servers.
const (
	mainDSN   = "SECKILL_MYSQL_DSN"
	mysql8DSN = "SECKILL_TEST_MYSQL8_DSN"
)

// MySQL returns a new, migrated database on the server of SECKILL_MYSQL_DSN. It is
// dropped at the end of the test.
func MySQL(tb testing.TB) *sql.DB {
	tb.Helper()
	return database(tb, setting(tb, mainDSN))
}

// MySQLs runs test on each configured server, MariaDB and MySQL 8.0, as subtests
// named after the server, each with a database as from MySQL. test may call
// t.Parallel.
func MySQLs(t *testing.T, test func(t *testing.T, db *sql.DB)) {
	t.Helper()
	main := setting(t, mainDSN)
	t.Run(serverName(t, main), func(t *testing.T) { test(t, database(t, main)) })
	if address(t, main) == address(t, lookup(t, mysql8DSN)) {
		return // scripts/up --mysql: the main one is MySQL 8.0
	}
	t.Run("MySQL 8.0", func(t *testing.T) { test(t, database(t, setting(t, mysql8DSN))) })
}

// MainDSN returns the DSN of the server of MySQL.
func MainDSN(tb testing.TB) *mysql.Config {
	tb.Helper()
	return parse(tb, setting(tb, mainDSN))
}

// DSNs runs test with the DSN of each configured server, as subtests named after the
// server.
func DSNs(t *testing.T, test func(t *testing.T, cfg *mysql.Config)) {
	t.Helper()
	main, other := setting(t, mainDSN), lookup(t, mysql8DSN)
	t.Run(serverName(t, main), func(t *testing.T) { test(t, parse(t, main)) })
	if address(t, main) != address(t, other) {
		t.Run("MySQL 8.0", func(t *testing.T) { test(t, parse(t, setting(t, mysql8DSN))) })
	}
}

// database creates an empty database with a random name on the server of dsn.
func database(tb testing.TB, dsn string) *sql.DB {
	tb.Helper()
	cfg := parse(tb, dsn)
	reach(tb, "MySQL", cfg.Addr)
	name := fmt.Sprintf("seckill_test_%x", SaleID())
	cfg.DBName = ""
	statement(tb, cfg, "CREATE DATABASE "+name+" CHARACTER SET utf8mb4")
	tb.Cleanup(func() {
		cfg.DBName = ""
		statement(tb, cfg, "DROP DATABASE "+name)
	})

	cfg.DBName = name
	migrator := open(tb, cfg, ordermysql.DBOptions{MaxConns: 4, Timeout: -1})
	if err := ordermysql.Migrate(tb.Context(), migrator, slog.New(slog.DiscardHandler)); err != nil {
		tb.Fatalf("migrate %s: %v", name, err)
	}
	if err := migrator.Close(); err != nil {
		tb.Fatalf("close %s: %v", name, err)
	}
	db := open(tb, cfg, ordermysql.DBOptions{MaxConns: 16})
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

// statement runs a statement on its own connection, also after the test has ended.
func statement(tb testing.TB, cfg *mysql.Config, query string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), time.Minute)
	defer cancel()
	db := open(tb, cfg, ordermysql.DBOptions{MaxConns: 4, Timeout: -1})
	defer db.Close()
	if _, err := db.ExecContext(ctx, query); err != nil {
		tb.Errorf("%s: %v", query, err)
	}
}

func open(tb testing.TB, cfg *mysql.Config, opts ordermysql.DBOptions) *sql.DB {
	tb.Helper()
	db, err := ordermysql.OpenDB(cfg.FormatDSN(), opts)
	if err != nil {
		tb.Fatalf("open %s at %s: %v", cfg.DBName, cfg.Addr, err)
	}
	return db
}

func parse(tb testing.TB, dsn string) *mysql.Config {
	tb.Helper()
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		tb.Fatalf("parse the DSN: %v", err)
	}
	return cfg
}

// address returns the address of the server; "" without a DSN.
func address(tb testing.TB, dsn string) string {
	tb.Helper()
	if dsn == "" {
		return ""
	}
	return parse(tb, dsn).Addr
}

// serverName returns MariaDB or MySQL, by the version that the server reports.
func serverName(tb testing.TB, dsn string) string {
	tb.Helper()
	cfg := parse(tb, dsn)
	reach(tb, "MySQL", cfg.Addr)
	db := open(tb, cfg, ordermysql.DBOptions{})
	defer db.Close()
	var version string
	if err := db.QueryRowContext(tb.Context(), "SELECT VERSION()").Scan(&version); err != nil {
		tb.Fatalf("ask %s for its version: %v", cfg.Addr, err)
	}
	if strings.Contains(version, "MariaDB") {
		return "MariaDB"
	}
	return "MySQL"
}
