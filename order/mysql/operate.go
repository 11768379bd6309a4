package mysql

import (
	"context"
	"database/sql"

	"seckill/order"
)

// SetSaleState changes the state of a sale; it changes nothing if the sale has that
// state. cmd is the name of the command: run again under the same name, after an
// unknown outcome, it does nothing. The errors are ErrNotFound and ErrConflict.
func (s *Store) SetSaleState(ctx context.Context, cmd string, id int64, to order.SaleState) (order.Sale, error) {
	return s.Operate(ctx, order.Operation{Command: cmd, SaleID: id, Action: order.Moving("", to)})
}

const (
	insertCommand = `INSERT INTO sale_commands (id, sale_id, what, created_at) VALUES (?, ?, ?, NOW(3))
		ON DUPLICATE KEY UPDATE id = sale_commands.id`
	updateSale = `UPDATE sales SET external_id = ?, title = ?, sku = ?, price_minor = ?, currency = ?, total = ?, available = ?,
		orders_per_shopper = ?, units_per_order = ?, attempts_per_shopper = ?, starts_at = ?, ends_at = ?, pay_within = ?,
		require_permit = ?, require_claim = ?, state = ?, version = ?, voided = ?, extending = ?, seq = LAST_INSERT_ID(seq + 1) WHERE id = ?`
)

// Operate runs an operation on a sale, once for all calls with the same command, and
// returns the sale after it. One transaction also writes the sale's change and, if an
// operator gave the command, the audit log. The errors are ErrNotFound, ErrStale,
// ErrInvalid, ErrReused, and those of the action.
func (s *Store) Operate(ctx context.Context, op order.Operation) (sale order.Sale, err error) {
	if err := order.ValidateCommand(op.Command); err != nil {
		return order.Sale{}, err
	}
	err = s.retry(ctx, op.Action.What, func(int) error {
		return s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			sale, err = operate(ctx, tx, op)
			return err
		})
	})
	return sale, err
}

func operate(ctx context.Context, tx *sql.Tx, op order.Operation) (order.Sale, error) {
	n, _, err := exec(ctx, tx, insertCommand, op.Command, op.SaleID, op.Action.What)
	if err != nil {
		return order.Sale{}, err
	}
	sale, err := readSale(ctx, tx, `WHERE id = ? FOR UPDATE`, op.SaleID)
	if err != nil {
		return order.Sale{}, err
	}
	if n == 0 { // run before
		return sale, checkRepeat(ctx, tx, op.Command, order.Command{SaleID: op.SaleID, What: op.Action.What})
	}
	before := sale
	effect, err := op.Do(&sale)
	if err != nil || effect == nil {
		return before, err
	}
	seq, err := writeSale(ctx, tx, sale)
	if err != nil {
		return before, err
	}
	sale.Seq = seq
	if err := writeChange(ctx, tx, order.Change{SaleID: sale.ID, Seq: seq, Sale: effect}); err != nil {
		return before, err
	}
	return sale, writeAudit(ctx, tx, op.Entry(before, sale))
}

// writeSale writes the fields that an operation may change, and returns the next seq.
func writeSale(ctx context.Context, tx *sql.Tx, s order.Sale) (uint64, error) {
	_, seq, err := exec(ctx, tx, updateSale, nullable(s.ExternalID), s.Title, s.SKU, s.PriceMinor, s.Currency, s.Total, s.Available,
		s.OrdersPerShopper, s.UnitsPerOrder, s.AttemptsPerShopper, s.StartsAt, s.EndsAt, seconds(s.PayWithin),
		s.RequirePermit, s.RequireClaim, string(s.State), s.Version, s.Voided, s.Extending, s.ID)
	if isDuplicate(err) {
		return 0, s.ExternalIDTaken()
	}
	return uint64(seq), err
}

// checkRepeat returns ErrReused unless the command that has this name is c.
func checkRepeat(ctx context.Context, tx *sql.Tx, name string, c order.Command) error {
	before, err := readCommand(ctx, tx, name)
	if err != nil {
		return err
	}
	return c.Repeats(name, before)
}

func readCommand(ctx context.Context, tx *sql.Tx, name string) (c order.Command, err error) {
	err = tx.QueryRowContext(ctx, `SELECT sale_id, what FROM sale_commands WHERE id = ?`, name).Scan(&c.SaleID, &c.What)
	return c, err
}
