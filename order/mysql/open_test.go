package mysql_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"seckill/internal/testenv"
	ordermysql "seckill/order/mysql"
)

// rewriter is a proxy that changes what a session sets, as one that knows better.
type rewriter struct {
	net.Conn

	from, to string
}

func (r rewriter) Write(p []byte) (int, error) {
	to := r.to + strings.Repeat(" ", len(r.from)-len(r.to)) // the packet's length has been written
	return r.Conn.Write(bytes.Replace(p, []byte(r.from), []byte(to), 1))
}

func TestASessionThatDoesNotHoldIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ from, to, names string }{
		{"autocommit = 1", "autocommit = 0", "autocommit"},
		{"unique_checks = 1", "unique_checks = 0", "unique_checks"},
		{"'NO_CHAIN'", "'CHAIN'", "completion_type"},
		{"'+00:00'", "'+08:00'", "time_zone"},
		{"'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'", "''", "sql_mode"},
		{", lock_wait_timeout = 4", ", lock_wait_timeout = 9", "lock_wait_timeout"},
	} {
		network := "rewritten-" + c.names
		mysql.RegisterDialContext(network, func(ctx context.Context, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
			return rewriter{conn, c.from, c.to}, err
		})
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			testenv.DSNs(t, func(t *testing.T, cfg *mysql.Config) {
				cfg.Net, cfg.DBName = network, ""
				db, err := ordermysql.OpenDB(cfg.FormatDSN(), ordermysql.DBOptions{})
				require.NoError(t, err)
				defer db.Close()
				err = db.PingContext(t.Context())
				require.ErrorIs(t, err, ordermysql.ErrSession)
				require.ErrorContains(t, err, c.names+" is ")
			})
		})
	}
}

// What a DSN and a server say about a session does not reach the protocol.
func TestASessionIsOursWhateverTheDSNSays(t *testing.T) {
	t.Parallel()
	testenv.DSNs(t, func(t *testing.T, cfg *mysql.Config) {
		cfg.DBName = ""
		cfg.Params = map[string]string{"autocommit": "0", "unique_checks": "0", "sql_safe_updates": "1", "sql_select_limit": "1", "completion_type": "1"}
		cfg.ClientFoundRows, cfg.MultiStatements = true, true
		db, err := ordermysql.OpenDB(cfg.FormatDSN(), ordermysql.DBOptions{})
		require.NoError(t, err)
		defer db.Close()
		var got [4]int
		var limit uint64
		var isolation string
		require.NoError(t, db.QueryRowContext(t.Context(), `SELECT @@autocommit + 0, @@unique_checks + 0, @@sql_safe_updates + 0, @@foreign_key_checks + 0, @@sql_select_limit,
			/*M! @@tx_isolation */ /*!80000 @@transaction_isolation */`).
			Scan(&got[0], &got[1], &got[2], &got[3], &limit, &isolation))
		require.Equal(t, [4]int{1, 1, 0, 1}, got)
		require.Greater(t, limit, uint64(1<<60))
		require.Equal(t, "READ-COMMITTED", isolation)
	})
}

// TLS that was asked for is used or nothing is, even if the DSN would do without.
func TestTLSIsNotGivenUp(t *testing.T) {
	t.Parallel()
	testenv.DSNs(t, func(t *testing.T, cfg *mysql.Config) {
		cfg.DBName, cfg.TLSConfig = "", "preferred"
		db, err := ordermysql.OpenDB(cfg.FormatDSN(), ordermysql.DBOptions{TLS: &tls.Config{InsecureSkipVerify: true}})
		require.NoError(t, err)
		defer db.Close()
		var name, cipher string
		err = db.QueryRowContext(t.Context(), `SHOW SESSION STATUS LIKE 'Ssl_cipher'`).Scan(&name, &cipher)
		require.True(t, err != nil || cipher != "", "plaintext")
	})
}
