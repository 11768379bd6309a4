package testenv

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// SQLServer is a MariaDB or MySQL 8.0 that only one test uses. It has an empty
// database, and two users.
type SQLServer struct {
	Admin *sql.DB       // may do everything, in the database mysql; without the settings of package order/mysql
	Shop  *mysql.Config // may do everything in the empty database; for a copy of one's own: Clone
}

// SQLServers runs test with a server of each kind, as subtests named after it. settings
// are as on its command line.
func SQLServers(t *testing.T, settings []string, test func(t *testing.T, s *SQLServer)) {
	t.Helper()
	needsServers(t)
	for name, start := range map[string]func(testing.TB, string, ...string){"MariaDB": startMariaDB, "MySQL 8.0": startMySQL8} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := loopbackAt(freePorts(t, 0))
			start(t, addr, settings...)
			test(t, newSQLServer(t, addr))
		})
	}
}

// MariaDB is SQLServers for a MariaDB alone.
func MariaDB(tb testing.TB, settings ...string) *SQLServer {
	tb.Helper()
	needsServers(tb)
	addr := loopbackAt(freePorts(tb, 0))
	startMariaDB(tb, addr, settings...)
	return newSQLServer(tb, addr)
}

func newSQLServer(tb testing.TB, addr string) *SQLServer {
	tb.Helper()
	awaitPort(tb, addr, time.Minute)
	as := func(user, database string) *mysql.Config {
		c := mysql.NewConfig()
		c.Net, c.Addr, c.User, c.Passwd, c.DBName = "tcp", addr, user, user, database
		return c
	}
	admin, err := sql.Open("mysql", as("admin", "mysql").FormatDSN())
	must(tb, err)
	tb.Cleanup(func() { _ = admin.Close() })
	must(tb, admin.PingContext(tb.Context()))
	return &SQLServer{Admin: admin, Shop: as("shop", "seckill")}
}

func startMariaDB(tb testing.TB, addr string, settings ...string) {
	tb.Helper()
	if _, err := exec.LookPath("mariadbd"); err != nil {
		missingf(tb, "no mariadbd: scripts/up installs it")
	}
	dir := tb.TempDir()
	data := filepath.Join(dir, "data")
	out, err := exec.CommandContext(tb.Context(), "mariadb-install-db", append([]string{"--no-defaults", "--datadir=" + data, "--skip-test-db"}, asUser()...)...).CombinedOutput()
	if err != nil {
		tb.Fatalf("mariadb-install-db: %v: %s", err, out)
	}
	background(tb, nil, "mariadbd", append(sqlSettings(tb, dir, addr, "BY"), settings...)...)
}

func startMySQL8(tb testing.TB, addr string, settings ...string) {
	tb.Helper()
	home := upwards(tb, ".run/mysql8")
	if home == "" {
		missingf(tb, "no MySQL 8.0: scripts/up --both fetches it")
	}
	dir := tb.TempDir()
	library, program := []string{"LD_LIBRARY_PATH=" + filepath.Join(home, "lib")}, filepath.Join(home, "bin/mysqld")
	messages := "--lc-messages-dir=" + filepath.Join(home, "share")
	c := exec.CommandContext(tb.Context(), program, append([]string{"--no-defaults", "--initialize-insecure", "--datadir=" + filepath.Join(dir, "data"), messages}, asUser()...)...)
	c.Env = append(os.Environ(), library...)
	if out, err := c.CombinedOutput(); err != nil {
		tb.Fatalf("mysqld --initialize-insecure: %v: %s", err, out)
	}
	all := append(sqlSettings(tb, dir, addr, "WITH mysql_native_password BY"), messages, "--mysqlx=OFF")
	background(tb, library, program, append(all, settings...)...)
}

// sqlSettings are the settings of a server in dir, which makes its users as it starts.
func sqlSettings(tb testing.TB, dir, addr, identified string) []string {
	tb.Helper()
	host, port, _ := strings.Cut(addr, ":")
	first := filepath.Join(dir, "first.sql")
	must(tb, os.WriteFile(first, fmt.Appendf(nil, `CREATE DATABASE seckill CHARACTER SET utf8mb4;
CREATE USER admin@'127.0.0.1' IDENTIFIED %[1]s 'admin';
GRANT ALL ON *.* TO admin@'127.0.0.1' WITH GRANT OPTION;
CREATE USER shop@'127.0.0.1' IDENTIFIED %[1]s 'shop';
GRANT ALL ON seckill.* TO shop@'127.0.0.1';
`, identified), 0o600))
	return append([]string{
		"--no-defaults", "--datadir=" + filepath.Join(dir, "data"), "--port=" + port, "--bind-address=" + host,
		"--socket=s", "--pid-file=pid", "--tmpdir=" + dir, "--init-file=" + first,
		"--skip-name-resolve", "--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=1", "--sync-binlog=1",
	}, asUser()...)
}

// asUser is what the servers want to be told by root.
func asUser() []string {
	if os.Geteuid() == 0 {
		return []string{"--user=root"}
	}
	return nil
}
