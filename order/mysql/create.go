package mysql

import (
	"context"
	"database/sql"
	"errors"

	"seckill/order"
)

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
