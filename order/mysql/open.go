package mysql

import (
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

const (
	// lockWait is how many seconds a statement waits for a row or a table; the
	// servers' defaults are 50 seconds and a year.
	lockWait = "4"
	// statementTimeout bounds the wait for one response. It is longer than a lock
	// wait, and the only bound on a transaction (see Store.inTx).
	statementTimeout = 15 * time.Second
	defaultConns     = 8
)

// DBOptions are the options that a DSN does not have.
type DBOptions struct {
	MaxConns int           // 8 when zero
	TLS      *tls.Config   // nil: as the DSN says
	Timeout  time.Duration // of one statement: 15 s when zero, none when negative (migrations)
}

// OpenDB opens a pool with the settings that the protocol needs. It uses the user, the
// address, the database and TLS of the DSN and ignores the rest. It does not connect.
func OpenDB(dsn string, opts DBOptions) (*sql.DB, error) {
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("mysql: open: %w", err)
	}
	if err := configure(cfg, opts); err != nil {
		return nil, fmt.Errorf("mysql: open: %w", err)
	}
	driver, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, fmt.Errorf("mysql: open: %w", err)
	}
	conns := opts.MaxConns
	if conns <= 0 {
		conns = defaultConns
	}
	db := sql.OpenDB(connector{driver})
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	db.SetConnMaxLifetime(30 * time.Minute)
	return db, nil
}

func configure(cfg *mysql.Config, opts DBOptions) error {
	timeout := opts.Timeout
	if timeout == 0 {
		timeout = statementTimeout
	}
	cfg.InterpolateParams = true // one round trip per statement; with prepared ones, settling is a fifth slower
	cfg.ClientFoundRows = false  // affected rows are rows that changed: Settle counts what it inserted
	cfg.ParseTime, cfg.Loc = true, time.UTC
	cfg.RejectReadOnly = false // it would hide the server's reason: see isReadOnly
	cfg.MultiStatements, cfg.AllowAllFiles = false, false
	cfg.CheckConnLiveness = true
	cfg.Logger = &mysql.NopLogger{} // it would log what it also returns as an error
	cfg.Timeout = 3 * time.Second
	cfg.ReadTimeout, cfg.WriteTimeout = max(0, timeout), max(0, timeout)
	cfg.Params = nil // setUp sets the session
	if opts.TLS != nil {
		cfg.TLS, cfg.AllowFallbackToPlaintext = opts.TLS, false // whatever tls= the DSN has
	}
	return cfg.Apply(mysql.Charset("utf8mb4", "utf8mb4_bin"))
}

// What the protocol rests on is set by every connection, since the server's
// defaults are the operator's to change while it runs. It is then read back: a
// proxy may swallow a SET, and some of it only the server's operator can set.
const (
	// The names are those that both servers have; each runs the comment that is its
	// own. unique_checks=0 lets duplicates into our UNIQUE keys, a completion_type
	// begins the next transaction by itself, sql_select_limit cuts results short.
	setSession = `SET autocommit = 1, unique_checks = 1, foreign_key_checks = 1, sql_safe_updates = 0, sql_auto_is_null = 0,
		sql_select_limit = 18446744073709551615, sql_big_selects = 1, completion_type = 'NO_CHAIN', time_zone = '+00:00', sql_mode = '` + sqlMode + `',
		innodb_lock_wait_timeout = ` + lockWait + `, lock_wait_timeout = ` + lockWait +
		` /*M! , max_statement_time = 0, idle_transaction_timeout = 0 */ /*!80000 , max_execution_time = 0 */`
	setIsolation = `SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE`
	sqlMode      = "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"

	minPacket = 1 << 20 // a statement of the largest batch has 300 kB
)

// sessionVariables are read back in this order.
var sessionVariables = []struct {
	name, value string // value: its expression as text
	good        func(value string) bool
	cure        string // what its operator does, where the program cannot
}{
	{"autocommit", "@@autocommit + 0", is("1"), ""},
	{"unique_checks", "@@unique_checks + 0", is("1"), ""},
	{"completion_type", "@@completion_type", is("NO_CHAIN"), ""},
	{"time_zone", "@@time_zone", is("+00:00"), ""},
	{"sql_mode", "@@sql_mode", is(sqlMode), ""},
	{"innodb_lock_wait_timeout", "@@innodb_lock_wait_timeout", is(lockWait), ""},
	{"lock_wait_timeout", "@@lock_wait_timeout", is(lockWait), ""},
	{"max_allowed_packet", "@@max_allowed_packet", largeEnough, "SET GLOBAL max_allowed_packet = 67108864"},
	{"binlog_format", "IF(@@log_bin, @@binlog_format, 'ROW')", is("ROW", "MIXED"), "SET GLOBAL binlog_format = 'ROW': READ COMMITTED cannot be logged by statement"},
}

func is(good ...string) func(string) bool {
	return func(v string) bool { return slices.Contains(good, v) }
}

func largeEnough(v string) bool {
	n, err := strconv.Atoi(v)
	return err == nil && n >= minPacket
}

// ErrSession is the error of a connection whose session is not as the protocol
// needs it.
var ErrSession = errors.New("the session is not as the protocol needs it")

// connector sets up and checks the session of each connection.
type connector struct{ driver.Connector }

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err //nolint:wrapcheck // database/sql looks for driver.ErrBadConn itself
	}
	if err := setUp(ctx, conn); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

func setUp(ctx context.Context, conn driver.Conn) error {
	db, ok := conn.(interface {
		driver.ExecerContext
		driver.QueryerContext
	})
	if !ok {
		return fmt.Errorf("%T runs no statements", conn)
	}
	for _, set := range []string{setSession, setIsolation} {
		if _, err := db.ExecContext(ctx, set, nil); err != nil {
			return fmt.Errorf("set up the session: %w", err)
		}
	}
	var names []string
	for _, v := range sessionVariables {
		names = append(names, "CONCAT('', "+v.value+")") // all as text
	}
	rows, err := db.QueryContext(ctx, "SELECT "+strings.Join(names, ", "), nil)
	if err != nil {
		return fmt.Errorf("read the session: %w", err)
	}
	defer func() { _ = rows.Close() }()
	values := make([]driver.Value, len(names))
	if err := rows.Next(values); err != nil {
		return fmt.Errorf("read the session: %w", errors.Join(err, io.ErrUnexpectedEOF))
	}
	return checkSession(values)
}

// checkSession names all that does not hold, not only the first.
func checkSession(values []driver.Value) error {
	var wrong []string
	for i, v := range sessionVariables {
		text, _ := values[i].([]byte)
		if v.good(string(text)) {
			continue
		}
		cure := v.cure
		if cure == "" {
			cure = "it was set and did not hold: connect without the proxy between, or have it pass SET on"
		}
		wrong = append(wrong, fmt.Sprintf("%s is %q (%s)", v.name, text, cure))
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%w: %s", ErrSession, strings.Join(wrong, "; "))
	}
	return nil
}
