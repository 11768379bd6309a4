package mysql

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"seckill/order"
)

// Limits returns what operators have set, by one read by primary key.
func (s *Store) Limits(ctx context.Context) (order.Limits, error) {
	l, err := readLimits(ctx, s.db, "")
	if err != nil {
		return order.Limits{}, fmt.Errorf("mysql: limits: %w", err)
	}
	return l, nil
}

// ChangeLimits changes limits, once for all calls with the same command, with a row
// of the audit log in the same transaction. It returns the limits after that. The
// errors are ErrInvalid, ErrStale, and ErrReused.
func (s *Store) ChangeLimits(ctx context.Context, c order.LimitsChange) (l order.Limits, err error) {
	if err := order.ValidateCommand(c.Command); err != nil {
		return order.Limits{}, err
	}
	err = s.retry(ctx, "change limits", func(int) error {
		return s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			l, err = changeLimits(ctx, tx, c)
			return err
		})
	})
	return l, err
}

func changeLimits(ctx context.Context, tx *sql.Tx, c order.LimitsChange) (order.Limits, error) {
	n, _, err := exec(ctx, tx, insertCommand, c.Command, 0, c.What())
	if err != nil {
		return order.Limits{}, err
	}
	before, err := readLimits(ctx, tx, " FOR UPDATE")
	if err != nil {
		return order.Limits{}, err
	}
	if n == 0 { // run before
		return before, checkRepeat(ctx, tx, c.Command, order.Command{What: c.What()})
	}
	after, err := c.Over(before)
	if err != nil || after.Generation == before.Generation {
		return before, err
	}
	settings, err := json.Marshal(after.Values)
	if err != nil {
		return before, err
	}
	if _, err = tx.ExecContext(ctx, `UPDATE limits SET generation = ?, settings = ?, changed_at = NOW(3) WHERE id = 1`,
		after.Generation, string(settings)); err != nil {
		return before, err
	}
	return after, writeAudit(ctx, tx, c.Entry(before, after))
}

func readLimits(ctx context.Context, db rowQueryer, lock string) (l order.Limits, err error) {
	var settings string
	err = db.QueryRowContext(ctx, `SELECT generation, settings FROM limits WHERE id = 1`+lock).Scan(&l.Generation, &settings)
	if err == nil {
		err = json.Unmarshal([]byte(settings), &l.Values)
	}
	return l, err
}
