package mysql

import (
	"crypto/tls"
	"database/sql"
	"fmt"
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
	cfg.RejectReadOnly = true // a server that became a replica: reconnect
	cfg.MultiStatements, cfg.AllowAllFiles = false, false
	cfg.CheckConnLiveness = true
	cfg.Logger = &mysql.NopLogger{} // it would log what it also returns as an error
	cfg.Timeout = 3 * time.Second
	cfg.ReadTimeout, cfg.WriteTimeout = max(0, timeout), max(0, timeout)
	cfg.Params = nil // setUp sets the session
	if opts.TLS != nil {
		cfg.TLS = opts.TLS
	}
	return cfg.Apply(mysql.Charset("utf8mb4", "utf8mb4_bin"))
}
