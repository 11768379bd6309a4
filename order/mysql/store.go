// Package mysql is the order store: MySQL 8.0 or MariaDB 10.11. A row is the result
// of its order, so MySQL decides, and the guarantees of the whole program rest on it
// keeping what it committed (innodb_flush_log_at_trx_commit=1).
//
// # Settle
//
// Settle decides every order of a batch in one READ COMMITTED transaction. It sorts
// the batch by ID, removes duplicates, and inserts all rows as confirmed in one
// statement under a fresh attempt ID. When that inserts fewer rows than there are
// orders, it reads back which orders are new (they have our attempt ID), which were
// decided before, which collide with another order's ID, and whose slot is taken;
// the last ones move to the lowest free slot or are rejected, in rounds.
//
// The sale's row comes last, because every batch needs it: one UPDATE deducts the
// units of the new orders and takes the sequence number. Where the units do not
// fit, the row is locked and orders are rejected in ID order. Rejections are
// committed as rows, too. Then the change is appended, and COMMIT.
//
// An error of the data splits the batch until the poisonous order is alone; it is
// rejected. Every other error is retried. A connection whose BEGIN, COMMIT or
// ROLLBACK failed is discarded, because an open transaction that went back to the
// pool would be committed by the next BEGIN.
//
// # Void, pay, cancel
//
// Void inserts a rejected row without units for an order that both stores have
// lost; a late message finds that row. Payment and cancellation are an UPDATE where
// the status is confirmed. So a late message, a void, a payment and a cancellation
// of one order exclude each other by its primary key or its status.
//
// # Operations
//
// An operation is one transaction: the command's name (the same name again does
// nothing), the version that the operator saw, the sale, its change in the log, and
// the row of the audit log.
//
// # Notes
//
// A sale's terms are remembered for a second, not for good: the time to pay may be
// extended, and a sale voided. The primary key of dead_letters contains the message
// ID, because an unreadable message need not carry an order ID of ours; an empty
// message ID marks the result of an order that can have no row. SQL avoids RETURNING
// and row aliases, which not both servers have.
package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"seckill/order"
)

// Store keeps sales, orders and the log of their changes. Every method may be called
// again after any error, with the effect of a single call. A transaction that has begun
// is finished even if the context ends.
type Store struct {
	db         *sql.DB
	log        *slog.Logger
	remembered *lru.Cache[int64, remembered] // see terms
	inserts    inserts
	crowded    *rate.Limiter // of the warning about too many sales
}

// rememberedSales is the number of sales whose terms are remembered.
const rememberedSales = 4096

// NewStore returns a Store on a pool of OpenDB, with the schema of Migrate.
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

// NextNodeID returns a node ID that no process had before. It is committed: a
// connection without autocommit is not used (see setUp).
func (s *Store) NextNodeID(ctx context.Context) (int64, error) {
	_, n, err := s.exec(ctx, `UPDATE counters SET n = LAST_INSERT_ID(n + 1) WHERE name = 'worker'`)
	if err != nil {
		return 0, fmt.Errorf("mysql: next node ID: %w", err)
	}
	return n, nil
}

// LastNodeID returns the last node ID of NextNodeID, for IDMaker.Observe.
func (s *Store) LastNodeID(ctx context.Context) (int64, error) {
	var n int64
	if err := s.db.QueryRowContext(ctx, `SELECT n FROM counters WHERE name = 'worker'`).Scan(&n); err != nil {
		return 0, fmt.Errorf("mysql: last node ID: %w", err)
	}
	return n, nil
}

// errRehearsed rolls a rehearsal back.
var errRehearsed = errors.New("rehearsed")

// ErrEngine is the error of tables that cannot roll back.
var ErrEngine = errors.New("some tables are not InnoDB, so nothing that is written to them can be rolled back")

// Rehearse settles an order of a new sale as a consumer does, in a transaction that it
// rolls back. The sale has the ID of one that cannot be, so that it meets no lock.
func (s *Store) Rehearse(ctx context.Context) error {
	now := time.Now().UTC().Truncate(time.Second)
	sale := order.Sale{
		ID: -rand.Int64(), Title: "rehearsal", SKU: "rehearsal", PriceMinor: 1, Currency: "XXX", Total: 1, Available: 1,
		OrdersPerShopper: 1, UnitsPerOrder: 1, StartsAt: now, EndsAt: now.Add(time.Hour), PayWithin: time.Hour, State: order.SaleOpen,
	}
	o := order.Order{ID: order.ID(-rand.Int64()), SaleID: sale.ID, ShopperID: "rehearsal", Quantity: 1}
	err := s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := transactional(ctx, tx); err != nil {
			return err
		}
		if _, err := create(ctx, tx, order.Creation{Sale: sale}); err != nil {
			return fmt.Errorf("insert sale: %w", err)
		}
		t := newSettling(tx, map[int64]*order.Sale{sale.ID: &sale})
		if err := t.run(ctx, []order.Order{o}, false); err != nil {
			return err
		}
		return errRehearsed
	})
	if !errors.Is(err, errRehearsed) {
		return fmt.Errorf("mysql: rehearse: %w", err)
	}
	return nil
}

// transactional returns ErrEngine, with their names, for tables without transactions.
func transactional(ctx context.Context, tx *sql.Tx) error {
	var other sql.NullString
	err := tx.QueryRowContext(ctx, `SELECT GROUP_CONCAT(CONCAT(table_name, ' is ', engine) SEPARATOR ', ') FROM information_schema.tables
		WHERE table_schema = DATABASE() AND table_name IN ('sales', 'orders', 'sale_changes', 'payments', 'dead_letters') AND engine <> 'InnoDB'`).Scan(&other)
	if err == nil && other.Valid {
		err = fmt.Errorf("%w: %s", ErrEngine, other.String)
	}
	return err
}
