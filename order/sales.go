package order

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-sql-driver/mysql"

	"seckill/internal/failpoint"
)

const saleColumns = `id, external_id, title, sku, price_minor, currency, total, available,
	orders_per_shopper, units_per_order, starts_at, ends_at, pay_within, require_permit, require_claim, state, seq, epoch`

// maxSales bounds a list of sales.
const maxSales = 1000

const insertSale = `INSERT INTO sales (` + saleColumns + `, created_at)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, NOW(3))`

// CreateSale keeps a new sale, scheduled, with all its units available; its ID
// is the caller's. When there is a sale with its external ID, or with its ID,
// that one is returned, with ErrConflict if its terms differ. A field that is
// out of range is a *FieldError.
func (s *Store) CreateSale(ctx context.Context, sale Sale) (Sale, error) {
	if err := sale.Validate(); err != nil {
		return Sale{}, err
	}
	sale = sale.AsCreated()
	var old Sale
	err := s.retry(ctx, "create sale", func(int) error {
		_, err := s.db.ExecContext(ctx, insertSale, sale.ID, nullable(sale.ExternalID), sale.Title, sale.SKU,
			sale.PriceMinor, sale.Currency, sale.Total, sale.Available, sale.OrdersPerShopper, sale.UnitsPerOrder,
			sale.StartsAt, sale.EndsAt, int64(sale.PayWithin/time.Second), sale.RequirePermit, sale.RequireClaim, string(sale.State))
		if !isDuplicate(err) {
			old = sale
			return err
		}
		// Made before, perhaps by a try whose answer was lost.
		old, err = readSale(ctx, s.db, `WHERE id = ? OR external_id = ? ORDER BY external_id = ? DESC LIMIT 1`,
			sale.ID, nullable(sale.ExternalID), nullable(sale.ExternalID))
		return err
	})
	if err != nil {
		return Sale{}, err
	}
	if !old.SameTerms(sale) {
		return old, fmt.Errorf("%w: sale %d has other terms", ErrConflict, old.ID)
	}
	return old, nil
}

// Sale returns a sale, or ErrNotFound.
func (s *Store) Sale(ctx context.Context, id int64) (Sale, error) {
	sale, err := readSale(ctx, s.db, `WHERE id = ?`, id)
	if err != nil {
		return Sale{}, fmt.Errorf("order: sale %d: %w", id, err)
	}
	return sale, nil
}

// Sales returns the sales that are not closed, newest first, at most 1,000.
// Where there are more, those that sell are not the ones left out.
func (s *Store) Sales(ctx context.Context) ([]Sale, error) {
	var sales []Sale
	err := query(ctx, s.db, func(rows *sql.Rows) error {
		sale, err := scanSale(rows)
		sales = append(sales, sale)
		return err
	}, `SELECT `+saleColumns+` FROM sales WHERE state <> 'closed' ORDER BY state IN ('open', 'paused') DESC, id DESC LIMIT ?`, maxSales)
	if err != nil {
		return nil, fmt.Errorf("order: sales: %w", err)
	}
	slices.SortFunc(sales, func(a, b Sale) int { return cmp.Compare(b.ID, a.ID) })
	return sales, nil
}

// ClosedSales returns the IDs of sales that are closed, newest first: those
// before an ID, or from the newest for 0.
func (s *Store) ClosedSales(ctx context.Context, before int64, limit int) ([]int64, error) {
	var ids []int64
	err := query(ctx, s.db, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	}, `SELECT id FROM sales WHERE state = 'closed' AND (? = 0 OR id < ?) ORDER BY id DESC LIMIT ?`, before, before, limit)
	if err != nil {
		return nil, fmt.Errorf("order: closed sales: %w", err)
	}
	return ids, nil
}

// SetSaleState moves a sale to another state; a sale that is there already is
// left alone. cmd names the command: run again under the same name, after an
// unknown outcome, it does nothing. The errors are ErrNotFound and ErrConflict.
func (s *Store) SetSaleState(ctx context.Context, cmd string, id int64, to SaleState) (Sale, error) {
	return s.command(ctx, cmd, id, StateCommand(to), func(sale *Sale) (*SaleEffect, error) {
		return sale.Move(to)
	})
}

// Restock adds units, which may be negative, to what a sale sells. cmd is as
// for SetSaleState. The errors are ErrNotFound, and ErrConflict when the sale
// is over or fewer than -units are available.
func (s *Store) Restock(ctx context.Context, cmd string, id int64, units int) (Sale, error) {
	return s.command(ctx, cmd, id, RestockCommand(units), func(sale *Sale) (*SaleEffect, error) {
		return sale.Restock(units)
	})
}

const (
	insertCommand = `INSERT INTO sale_commands (id, sale_id, what, created_at) VALUES (?, ?, ?, NOW(3))
		ON DUPLICATE KEY UPDATE id = sale_commands.id`
	updateSale = `UPDATE sales SET total = ?, available = ?, state = ?, seq = LAST_INSERT_ID(seq + 1) WHERE id = ?`
)

// command runs change on a sale once for all calls with the same cmd.
func (s *Store) command(ctx context.Context, cmd string, id int64, what string, change func(*Sale) (*SaleEffect, error)) (sale Sale, err error) {
	if err := ValidateCommand(cmd); err != nil {
		return Sale{}, err
	}
	err = s.retry(ctx, what, func(int) error {
		return s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			n, _, err := exec(ctx, tx, insertCommand, cmd, id, what)
			if err != nil {
				return err
			}
			if sale, err = readSale(ctx, tx, `WHERE id = ? FOR UPDATE`, id); err != nil {
				return err
			}
			if n == 0 && !failpoint.Broken(failpoint.RestockTwice) { // run before
				return sameCommand(ctx, tx, cmd, id, what)
			}
			effect, err := change(&sale)
			if err != nil || effect == nil {
				return err
			}
			_, seq, err := exec(ctx, tx, updateSale, sale.Total, sale.Available, string(sale.State), id)
			if err != nil {
				return err
			}
			sale.Seq = uint64(seq)
			return writeChange(ctx, tx, Change{SaleID: id, Seq: sale.Seq, Sale: effect})
		})
	})
	return sale, err
}

// sameCommand refuses a command whose name another one has.
func sameCommand(ctx context.Context, tx *sql.Tx, cmd string, id int64, what string) error {
	var oldSale int64
	var old string
	err := tx.QueryRowContext(ctx, `SELECT sale_id, what FROM sale_commands WHERE id = ?`, cmd).Scan(&oldSale, &old)
	if err == nil && (oldSale != id || old != what) {
		err = fmt.Errorf("%w: command %s was %q of sale %d", ErrConflict, cmd, old, oldSale)
	}
	return err
}

// RaiseEpoch starts a load of the sale into Redis and returns its number. It
// is a transaction of its own, so that nobody waits for the load.
func (s *Store) RaiseEpoch(ctx context.Context, id int64) (uint64, error) {
	n, epoch, err := exec(ctx, s.db, `UPDATE sales SET epoch = LAST_INSERT_ID(epoch + 1) WHERE id = ?`, id)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return 0, fmt.Errorf("order: raise epoch of sale %d: %w", id, err)
	}
	return uint64(epoch), nil
}

// writeChange is the last statement on a sale in its transaction.
func writeChange(ctx context.Context, tx *sql.Tx, c Change) error {
	_, _, err := exec(ctx, tx, `INSERT INTO sale_changes (sale_id, seq, changes) VALUES (?, ?, ?)`, c.SaleID, c.Seq, EncodeChange(c))
	return err
}

type rowQueryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func readSale(ctx context.Context, db rowQueryer, where string, args ...any) (Sale, error) {
	sale, err := scanSale(db.QueryRowContext(ctx, `SELECT `+saleColumns+` FROM sales `+where, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return Sale{}, ErrNotFound
	}
	return sale, err
}

func scanSale(row interface{ Scan(...any) error }) (Sale, error) {
	var s Sale
	var external sql.NullString
	var payWithin int64
	err := row.Scan(&s.ID, &external, &s.Title, &s.SKU, &s.PriceMinor, &s.Currency, &s.Total, &s.Available,
		&s.OrdersPerShopper, &s.UnitsPerOrder, &s.StartsAt, &s.EndsAt, &payWithin, &s.RequirePermit, &s.RequireClaim, &s.State, &s.Seq, &s.Epoch)
	s.ExternalID, s.PayWithin = external.String, time.Duration(payWithin)*time.Second
	return s, err
}

// nullable is NULL for an empty string: many sales have no external ID, and a
// unique key does not compare NULLs.
func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func isDuplicate(err error) bool {
	refused, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && refused.Number == 1062
}
