package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"seckill/order"
)

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
