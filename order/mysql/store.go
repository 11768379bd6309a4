// Package mysql keeps sales and orders in MySQL or MariaDB. Its rows are the
// verdicts: an order is decided by the transaction that inserts its row.
package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// Store keeps sales, orders and the log of their changes in MySQL, MariaDB or
// TiDB. An order's row is its verdict, decided once, by whoever inserts it.
// Every method may be called again after any error, and does then what one
// call would have done. A call that has begun a transaction ends it, whatever
// becomes of its context.
type Store struct {
	db         *sql.DB
	log        *slog.Logger
	remembered *lru.Cache[int64, remembered] // see terms
	inserts    inserts
	crowded    *rate.Limiter // of what is logged about too many sales
}

// rememberedSales bounds the sales whose terms are remembered.
const rememberedSales = 4096

// NewStore returns a Store on a pool of OpenDB with a schema of Migrate.
func NewStore(db *sql.DB, log *slog.Logger) *Store {
	cache, err := lru.New[int64, remembered](rememberedSales)
	if err != nil {
		panic(err) // the size is not positive
	}
	return &Store{db: db, log: log, remembered: cache, crowded: rate.NewLimiter(rate.Every(time.Minute), 1)}
}

// Ping reports whether the server answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.db.PingContext(ctx); err != nil {
		return fmt.Errorf("mysql: ping: %w", err)
	}
	return nil
}

// NextNodeID returns a node ID that no other process has had.
func (s *Store) NextNodeID(ctx context.Context) (int64, error) {
	_, n, err := exec(ctx, s.db, `UPDATE counters SET n = LAST_INSERT_ID(n + 1) WHERE name = 'worker'`)
	if err != nil {
		return 0, fmt.Errorf("mysql: next node ID: %w", err)
	}
	return n, nil
}

// LastNodeID returns the node ID given out last, for IDMaker.Observe.
func (s *Store) LastNodeID(ctx context.Context) (int64, error) {
	var n int64
	if err := s.db.QueryRowContext(ctx, `SELECT n FROM counters WHERE name = 'worker'`).Scan(&n); err != nil {
		return 0, fmt.Errorf("mysql: last node ID: %w", err)
	}
	return n, nil
}
