package mysql

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-sql-driver/mysql"

	"seckill/order"
)

const saleColumns = `id, external_id, title, sku, price_minor, currency, total, available,
	orders_per_shopper, units_per_order, starts_at, ends_at, pay_within, require_permit, require_claim, state, seq, epoch, version, voided, extending`

// maxSales bounds a list of sales.
const maxSales = 1000

// Sale returns a sale, or ErrNotFound.
func (s *Store) Sale(ctx context.Context, id int64) (order.Sale, error) {
	sale, err := readSale(ctx, s.db, `WHERE id = ?`, id)
	if err != nil {
		return order.Sale{}, fmt.Errorf("order: sale %d: %w", id, err)
	}
	return sale, nil
}

// Sales returns the sales that are not closed, newest first, at most 1,000.
// Where there are more, which is logged, those that start in more than an hour
// are left out first, those that sell last: nothing has to be done yet for the
// former, and they come in as their time does.
func (s *Store) Sales(ctx context.Context) ([]order.Sale, error) {
	var sales []order.Sale
	err := query(ctx, s.db, func(rows *sql.Rows) error {
		sale, err := scanSale(rows)
		sales = append(sales, sale)
		return err
	}, `SELECT `+saleColumns+` FROM sales WHERE state <> 'closed'
		ORDER BY state IN ('open', 'paused') DESC, state = 'scheduled' AND starts_at > NOW(3) + INTERVAL 1 HOUR, id DESC LIMIT ?`, maxSales+1)
	if err != nil {
		return nil, fmt.Errorf("order: sales: %w", err)
	}
	if len(sales) > maxSales {
		sales = sales[:maxSales]
		if s.crowded.Allow() {
			s.log.WarnContext(ctx, "more sales than are looked after: end or close some", "at_most", maxSales)
		}
	}
	slices.SortFunc(sales, func(a, b order.Sale) int { return cmp.Compare(b.ID, a.ID) })
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

// SalesBefore returns sales of any state, newest first: those with an ID below
// the given one, or from the newest for 0.
func (s *Store) SalesBefore(ctx context.Context, before int64, limit int) ([]order.Sale, error) {
	var sales []order.Sale
	err := query(ctx, s.db, func(rows *sql.Rows) error {
		sale, err := scanSale(rows)
		sales = append(sales, sale)
		return err
	}, `SELECT `+saleColumns+` FROM sales WHERE ? = 0 OR id < ? ORDER BY id DESC LIMIT ?`, before, before, limit)
	if err != nil {
		return nil, fmt.Errorf("order: sales: %w", err)
	}
	return sales, nil
}

// RaiseEpoch starts a load of the sale into Redis and returns its number. It
// is a transaction of its own, so that nobody waits for the load.
func (s *Store) RaiseEpoch(ctx context.Context, id int64) (uint64, error) {
	n, epoch, err := exec(ctx, s.db, `UPDATE sales SET epoch = LAST_INSERT_ID(epoch + 1) WHERE id = ?`, id)
	if err == nil && n == 0 {
		err = order.ErrNotFound
	}
	if err != nil {
		return 0, fmt.Errorf("order: raise epoch of sale %d: %w", id, err)
	}
	return uint64(epoch), nil
}

// writeChange is the last statement on a sale in its transaction.
func writeChange(ctx context.Context, tx *sql.Tx, c order.Change) error {
	_, _, err := exec(ctx, tx, `INSERT INTO sale_changes (sale_id, seq, changes) VALUES (?, ?, ?)`, c.SaleID, c.Seq, order.EncodeChange(c))
	return err
}

type rowQueryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func readSale(ctx context.Context, db rowQueryer, where string, args ...any) (order.Sale, error) {
	sale, err := scanSale(db.QueryRowContext(ctx, `SELECT `+saleColumns+` FROM sales `+where, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return order.Sale{}, order.ErrNotFound
	}
	return sale, err
}

func scanSale(row interface{ Scan(...any) error }) (order.Sale, error) {
	var s order.Sale
	var external sql.NullString
	var payWithin int64
	err := row.Scan(&s.ID, &external, &s.Title, &s.SKU, &s.PriceMinor, &s.Currency, &s.Total, &s.Available,
		&s.OrdersPerShopper, &s.UnitsPerOrder, &s.StartsAt, &s.EndsAt, &payWithin, &s.RequirePermit, &s.RequireClaim,
		&s.State, &s.Seq, &s.Epoch, &s.Version, &s.Voided, &s.Extending)
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
