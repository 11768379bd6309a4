package order

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// Creation is an operator's command to make a sale.
type Creation struct {
	Command string // as an Operation's; empty for none
	By      Operator
	Sale    Sale // its ID is the caller's
}

// What is the command: its name stands for the terms, whatever ID the caller
// made for the sale.
func (c Creation) What() string {
	s := c.Sale.AsCreated()
	s.ID = 0
	digest := sha256.Sum256(document(s))
	return "create " + hex.EncodeToString(digest[:16])
}

const insertSale = `INSERT INTO sales (id, external_id, title, sku, price_minor, currency, total, available,
	orders_per_shopper, units_per_order, starts_at, ends_at, pay_within, require_permit, require_claim, state, created_at)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NOW(3))`

// CreateSale is Create, of nobody's command.
func (s *Store) CreateSale(ctx context.Context, sale Sale) (Sale, error) {
	return s.Create(ctx, Creation{Sale: sale})
}

// Create keeps a new sale, scheduled, with all its units available. When there
// is a sale with its external ID, or with its ID, that one is returned, with
// ErrConflict if its terms differ; so is the sale that the command made before,
// with ErrReused if that had other terms. A field that is out of range is a
// *FieldError.
func (s *Store) Create(ctx context.Context, c Creation) (sale Sale, err error) {
	if err := c.Sale.Validate(); err != nil {
		return Sale{}, err
	}
	if c.Command != "" {
		if err := ValidateCommand(c.Command); err != nil {
			return Sale{}, err
		}
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

func create(ctx context.Context, tx *sql.Tx, c Creation) (Sale, error) {
	if c.Command != "" {
		if made, err := madeBefore(ctx, tx, c); err != nil || made.ID != 0 {
			return made, err
		}
	}
	sale := c.Sale
	_, err := tx.ExecContext(ctx, insertSale, sale.ID, nullable(sale.ExternalID), sale.Title, sale.SKU,
		sale.PriceMinor, sale.Currency, sale.Total, sale.Available, sale.OrdersPerShopper, sale.UnitsPerOrder,
		sale.StartsAt, sale.EndsAt, int64(sale.PayWithin/time.Second), sale.RequirePermit, sale.RequireClaim, string(sale.State))
	if isDuplicate(err) { // made before, perhaps by a try whose answer was lost
		old, err := readSale(ctx, tx, `WHERE id = ? OR external_id = ? ORDER BY external_id = ? DESC LIMIT 1`,
			sale.ID, nullable(sale.ExternalID), nullable(sale.ExternalID))
		if err == nil && !old.SameTerms(sale) {
			err = fmt.Errorf("%w: sale %d has other terms", ErrConflict, old.ID)
		}
		return old, err
	}
	if err != nil {
		return Sale{}, err
	}
	return sale, writeAudit(ctx, tx, c.Entry())
}

// madeBefore keeps the command, or returns the sale that it made before.
func madeBefore(ctx context.Context, tx *sql.Tx, c Creation) (Sale, error) {
	n, _, err := exec(ctx, tx, insertCommand, c.Command, c.Sale.ID, c.What())
	if err != nil || n == 1 {
		return Sale{}, err
	}
	var id int64
	var what string
	if err := tx.QueryRowContext(ctx, `SELECT sale_id, what FROM sale_commands WHERE id = ?`, c.Command).Scan(&id, &what); err != nil {
		return Sale{}, err
	}
	if what != c.What() {
		return Sale{}, fmt.Errorf("%w: command %s was %q of sale %d", ErrReused, c.Command, what, id)
	}
	made, err := readSale(ctx, tx, `WHERE id = ?`, id)
	if errors.Is(err, ErrNotFound) { // a sale with its external ID was there: its terms are the same
		made, err = readSale(ctx, tx, `WHERE external_id = ?`, c.Sale.ExternalID)
	}
	return made, err
}
