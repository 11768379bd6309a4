package mysql

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"

	"seckill/order"
)

// writeAudit is part of the transaction that it records. What our own processes do
// is not recorded.
func writeAudit(ctx context.Context, tx *sql.Tx, e order.AuditEntry) error {
	if e.By.IsZero() {
		return nil
	}
	e = e.Fitted()
	_, err := tx.ExecContext(ctx, `INSERT INTO audit_log (at, actor, role, action, sale_id, target, value_before, value_after, command_id)
		VALUES (NOW(3), ?, ?, ?, ?, ?, ?, ?, ?)`, []byte(e.By.Name), []byte(e.By.Role), []byte(e.Action), e.SaleID,
		[]byte(e.Target), nullable(string(e.Before)), nullable(string(e.After)), []byte(e.Command))
	if err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	return nil
}

// Note writes a row of the audit log for what an operator does outside this
// database, once for all calls with the same command; false if it was there.
func (s *Store) Note(ctx context.Context, e order.AuditEntry) (fresh bool, err error) {
	if err := order.ValidateCommand(e.Command); err != nil {
		return false, err
	}
	err = s.retry(ctx, e.Action, func(int) error {
		return s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			n, _, err := exec(ctx, tx, insertCommand, e.Command, e.SaleID, e.Action)
			if err != nil {
				return err
			}
			if fresh = n == 1; !fresh {
				return checkRepeat(ctx, tx, e.Command, order.Command{SaleID: e.SaleID, What: e.Action})
			}
			return writeAudit(ctx, tx, e)
		})
	})
	return fresh, err
}

// AuditLog returns rows of the audit log, newest first.
func (s *Store) AuditLog(ctx context.Context, q order.AuditQuery) ([]order.AuditEntry, error) {
	where, args := []string{`1 = 1`}, []any{}
	for _, c := range []struct {
		wanted bool
		sql    string
		arg    any
	}{
		{q.SaleID != 0, `sale_id = ?`, q.SaleID},
		{q.Actor != "", `actor = ?`, []byte(q.Actor)},
		{q.Before != 0, `id < ?`, q.Before},
	} {
		if c.wanted {
			where = append(where, c.sql)
			args = append(args, c.arg)
		}
	}
	var entries []order.AuditEntry
	err := query(ctx, s.db, func(rows *sql.Rows) error {
		var e order.AuditEntry
		var before, after sql.NullString
		err := rows.Scan(&e.ID, &e.At, &e.By.Name, &e.By.Role, &e.Action, &e.SaleID, &e.Target, &before, &after, &e.Command)
		e.Before, e.After = raw(before), raw(after)
		entries = append(entries, e)
		return err
	}, `SELECT id, at, actor, role, action, sale_id, target, value_before, value_after, command_id FROM audit_log
		WHERE `+strings.Join(where, ` AND `)+` ORDER BY id DESC LIMIT ?`, append(args, q.Limit)...)
	if err != nil {
		return nil, fmt.Errorf("mysql: audit log: %w", err)
	}
	return entries, nil
}

func raw(s sql.NullString) json.RawMessage {
	if !s.Valid {
		return nil
	}
	return json.RawMessage(s.String)
}
