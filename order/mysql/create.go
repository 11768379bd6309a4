package mysql

import (
	"context"
	"database/sql"
	"errors"

	"seckill/order"
)

const insertSale = `INSERT INTO sales (id, external_id, title, sku, price_minor, currency, total, available,
	orders_per_shopper, units_per_order, starts_at, ends_at, pay_within, require_permit, require_claim, state, created_at)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NOW(3))`

// CreateSale is Create, of nobody's command.
func (s *Store) CreateSale(ctx context.Context, sale order.Sale) (order.Sale, error) {
	return s.Create(ctx, order.Creation{Sale: sale})
}

// Create keeps a new sale, scheduled, with all its units available. When there
// is a sale with its external ID, or with its ID, that one is returned, with
// ErrConflict if its terms differ; so is the sale that the command made before,
// with ErrReused if that had other terms. A field that is out of range is a
// *FieldError.
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
		if made, err := createdBefore(ctx, tx, c); err != nil || made.ID != 0 {
			return made, err
		}
	}
	sale := c.Sale
	_, err := tx.ExecContext(ctx, insertSale, sale.ID, nullable(sale.ExternalID), sale.Title, sale.SKU,
		sale.PriceMinor, sale.Currency, sale.Total, sale.Available, sale.OrdersPerShopper, sale.UnitsPerOrder,
		sale.StartsAt, sale.EndsAt, seconds(sale.PayWithin), sale.RequirePermit, sale.RequireClaim, string(sale.State))
	if isDuplicate(err) { // made before, perhaps by a try whose answer was lost
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

// createdBefore keeps the command, or returns the sale that it made before.
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
	made, err := readSale(ctx, tx, `WHERE id = ?`, before.SaleID)
	if errors.Is(err, order.ErrNotFound) { // a sale with its external ID was there: its terms are the same
		made, err = readSale(ctx, tx, `WHERE external_id = ?`, c.Sale.ExternalID)
	}
	return made, err
}
