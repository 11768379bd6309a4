package mysql

import (
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
	orders_per_shopper, units_per_order, attempts_per_shopper, starts_at, ends_at, pay_within, require_permit, require_claim,
	state, seq, epoch, version, voided, extending`

// Sale returns a sale, or ErrNotFound.
func (s *Store) Sale(ctx context.Context, id int64) (order.Sale, error) {
	sale, err := readSale(ctx, s.db, `WHERE id = ?`, id)
	if err != nil {
		return order.Sale{}, fmt.Errorf("mysql: sale %d: %w", id, err)
	}
	return sale, nil
}

// SalesNamed returns the sales with that name, at most one by each kind of ID.
func (s *Store) SalesNamed(ctx context.Context, n order.SaleName) ([]order.Sale, error) {
	var sales []order.Sale
	err := query(ctx, s.db, func(rows *sql.Rows) error {
		sale, err := scanSale(rows)
		sales = append(sales, sale)
		return err
	}, `SELECT `+saleColumns+` FROM sales WHERE id = ? OR external_id = ?`, n.ID, nullable(n.External))
	if err != nil {
		return nil, fmt.Errorf("mysql: sale %s: %w", n, err)
	}
	return sales, nil
}

// Sales returns the sales that are not closed, newest first, at most MaxSales. If there
// are more, which is logged, sales that start later are left out until their time
// comes.
func (s *Store) Sales(ctx context.Context) ([]order.Sale, error) {
	var sales []order.Sale
	err := query(ctx, s.db, func(rows *sql.Rows) error {
		sale, err := scanSale(rows)
		sales = append(sales, sale)
		return err
	}, `SELECT `+saleColumns+` FROM sales WHERE state <> 'closed'
		ORDER BY state IN ('open', 'paused') DESC, state = 'scheduled' AND starts_at > NOW(3) + INTERVAL ? SECOND, id DESC LIMIT ?`, seconds(order.StartsSoon), order.MaxSales+1)
	if err != nil {
		return nil, fmt.Errorf("mysql: sales: %w", err)
	}
	if len(sales) > order.MaxSales {
		sales = sales[:order.MaxSales]
		if s.crowded.Allow() {
			s.log.WarnContext(ctx, "more sales than are handled: end or close some", "at_most", order.MaxSales)
		}
	}
	slices.SortFunc(sales, order.NewestFirst)
	return sales, nil
}

// ClosedSales returns the IDs of closed sales, newest first, from below an ID, or from
// the newest for 0.
func (s *Store) ClosedSales(ctx context.Context, before int64, limit int) ([]int64, error) {
	var ids []int64
	err := query(ctx, s.db, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	}, `SELECT id FROM sales WHERE state = 'closed' AND (? = 0 OR id < ?) ORDER BY id DESC LIMIT ?`, before, before, limit)
	if err != nil {
		return nil, fmt.Errorf("mysql: closed sales: %w", err)
	}
	return ids, nil
}

// SalesBefore returns sales of any state, newest first, from below an ID, or from the
// newest for 0.
func (s *Store) SalesBefore(ctx context.Context, before int64, limit int) ([]order.Sale, error) {
	var sales []order.Sale
	err := query(ctx, s.db, func(rows *sql.Rows) error {
		sale, err := scanSale(rows)
		sales = append(sales, sale)
		return err
	}, `SELECT `+saleColumns+` FROM sales WHERE ? = 0 OR id < ? ORDER BY id DESC LIMIT ?`, before, before, limit)
	if err != nil {
		return nil, fmt.Errorf("mysql: sales: %w", err)
	}
	return sales, nil
}

// remembered is a sale as it was read. Settling uses only its terms, which are fixed
// once the sale is open, except the time to pay and whether the sale is voided.
type remembered struct {
	sale *order.Sale
	read time.Time
}

// termsFor is how long terms are used before they are read again: what an operator
// changes is in force everywhere within a second.
const termsFor = time.Second

// terms returns the sales of the orders, with terms not older than a second; sales that
// do not exist are left out. Stock and seq are out of date.
func (s *Store) terms(ctx context.Context, orders []order.Order) (map[int64]*order.Sale, error) {
	known := make(map[int64]*order.Sale, 1)
	var missing []any
	for _, o := range orders {
		if _, ok := known[o.SaleID]; ok || slices.Contains(missing, any(o.SaleID)) {
			continue
		}
		if r, ok := s.remembered.Get(o.SaleID); ok && time.Since(r.read) < termsFor {
			known[o.SaleID] = r.sale
		} else {
			missing = append(missing, o.SaleID)
		}
	}
	if len(missing) == 0 {
		return known, nil
	}
	asked := time.Now()
	err := query(ctx, s.db, func(rows *sql.Rows) error {
		sale, err := scanSale(rows)
		known[sale.ID] = &sale
		if sale.State != order.SaleScheduled { // all terms may change until it is open
			s.remembered.Add(sale.ID, remembered{&sale, asked})
		}
		return err
	}, `SELECT `+saleColumns+` FROM sales WHERE id IN (`+repeat("?", len(missing))+`)`, missing...)
	if err != nil {
		return nil, fmt.Errorf("terms: %w", err)
	}
	return known, nil
}

// RaiseEpoch starts a load of the sale into Redis and returns its number. It is a
// transaction of its own, so that no order waits for the load.
func (s *Store) RaiseEpoch(ctx context.Context, id int64) (uint64, error) {
	n, epoch, err := s.exec(ctx, `UPDATE sales SET epoch = LAST_INSERT_ID(epoch + 1) WHERE id = ?`, id)
	if err == nil && n == 0 {
		err = order.ErrNotFound
	}
	if err != nil {
		return 0, fmt.Errorf("mysql: raise epoch of sale %d: %w", id, err)
	}
	return uint64(epoch), nil
}

const insertChange = `INSERT INTO sale_changes (sale_id, seq, changes, returned, refund) VALUES (?, ?, ?, ?, ?)`

// writeChange appends to the log of changes. It is a transaction's last statement for a
// sale.
func writeChange(ctx context.Context, tx *sql.Tx, c order.Change) error {
	_, _, err := exec(ctx, tx, insertChange, c.SaleID, c.Seq, order.EncodeChange(c), order.EncodeReturned(c), order.EncodeRefund(c.Refund))
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
		&s.OrdersPerShopper, &s.UnitsPerOrder, &s.AttemptsPerShopper, &s.StartsAt, &s.EndsAt, &payWithin, &s.RequirePermit, &s.RequireClaim,
		&s.State, &s.Seq, &s.Epoch, &s.Version, &s.Voided, &s.Extending)
	s.ExternalID, s.PayWithin = external.String, time.Duration(payWithin)*time.Second
	return s, err
}

// nullable returns NULL for an empty string: many sales have no external ID, and a
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

const insertSale = `INSERT INTO sales (id, external_id, title, sku, price_minor, currency, total, available,
	orders_per_shopper, units_per_order, attempts_per_shopper, starts_at, ends_at, pay_within, require_permit, require_claim, state, created_at)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NOW(3))`

// CreateSale is Create without a command.
func (s *Store) CreateSale(ctx context.Context, sale order.Sale) (order.Sale, error) {
	return s.Create(ctx, order.Creation{Sale: sale})
}

// Create adds a scheduled sale with all its units available. If there is a sale with
// its external ID or its ID, Create returns that one, with ErrConflict if its terms
// differ. It also returns the sale that the command created before, or ErrReused if
// the command had other terms. A field out of range is a *FieldError.
func (s *Store) Create(ctx context.Context, c order.Creation) (sale order.Sale, err error) {
	if err := c.Validate(); err != nil {
		return order.Sale{}, err
	}
	c.Sale = c.Sale.AsCreated()
	err = s.retry(ctx, "create sale", func(int) error {
		return s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			sale, err = create(ctx, tx, c)
			return err
		})
	})
	return sale, err
}

func create(ctx context.Context, tx *sql.Tx, c order.Creation) (order.Sale, error) {
	if c.Command != "" {
		if created, err := createdBefore(ctx, tx, c); err != nil || created.ID != 0 {
			return created, err
		}
	}
	sale := c.Sale
	_, err := tx.ExecContext(ctx, insertSale, sale.ID, nullable(sale.ExternalID), sale.Title, sale.SKU,
		sale.PriceMinor, sale.Currency, sale.Total, sale.Available, sale.OrdersPerShopper, sale.UnitsPerOrder, sale.AttemptsPerShopper,
		sale.StartsAt, sale.EndsAt, seconds(sale.PayWithin), sale.RequirePermit, sale.RequireClaim, string(sale.State))
	if isDuplicate(err) { // created before, perhaps by a try whose answer was lost
		old, err := readSale(ctx, tx, `WHERE id = ? OR external_id = ? ORDER BY external_id = ? DESC LIMIT 1`,
			sale.ID, nullable(sale.ExternalID), nullable(sale.ExternalID))
		if err == nil {
			err = sale.Repeats(old)
		}
		return old, err
	}
	if err != nil {
		return order.Sale{}, err
	}
	return sale, writeAudit(ctx, tx, c.Entry())
}

// createdBefore records the command, or returns the sale that it created before.
func createdBefore(ctx context.Context, tx *sql.Tx, c order.Creation) (order.Sale, error) {
	n, _, err := exec(ctx, tx, insertCommand, c.Command, c.Sale.ID, c.What())
	if err != nil || n == 1 {
		return order.Sale{}, err
	}
	before, err := readCommand(ctx, tx, c.Command)
	if err == nil {
		err = order.Command{SaleID: before.SaleID, What: c.What()}.Repeats(c.Command, before)
	}
	if err != nil {
		return order.Sale{}, err
	}
	created, err := readSale(ctx, tx, `WHERE id = ?`, before.SaleID)
	if errors.Is(err, order.ErrNotFound) { // a sale with the same external ID and terms was there
		created, err = readSale(ctx, tx, `WHERE external_id = ?`, c.Sale.ExternalID)
	}
	return created, err
}
