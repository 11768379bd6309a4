package order

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"
)

// AuditEntry is one row of the audit log: what an operator changed. What was
// refused is not in it.
type AuditEntry struct {
	ID      int64 // set by the store; rises, with gaps
	At      time.Time
	By      Operator
	Action  string
	SaleID  int64  // 0: of no sale
	Target  string // such as "sale 12" or "order 7"
	Before  json.RawMessage
	After   json.RawMessage // nil for what has no value, as Before
	Command string
}

// AuditQuery selects rows of the audit log, newest first.
type AuditQuery struct {
	SaleID int64  // 0: of all
	Actor  string // "": of all
	Before int64  // rows with a lower ID; 0: from the newest
	Limit  int
}

// Entry is the row of an operation that changed before to after.
func (o Operation) Entry(before, after Sale) AuditEntry {
	e := AuditEntry{By: o.By, Action: o.Action.Name, SaleID: o.SaleID, Target: saleTarget(o.SaleID), Command: o.Command}
	was, is := before.values(), after.values()
	maps.DeleteFunc(was, func(name string, v json.RawMessage) bool { return bytes.Equal(v, is[name]) })
	maps.DeleteFunc(is, func(name string, _ json.RawMessage) bool { return was[name] == nil })
	e.Before, e.After = document(was), document(is)
	return e
}

// Entry is the row of a sale that was made.
func (c Creation) Entry() AuditEntry {
	return AuditEntry{
		By: c.By, Action: "create", SaleID: c.Sale.ID, Target: saleTarget(c.Sale.ID),
		After: document(c.Sale.values()), Command: c.Command,
	}
}

// CancelEntry is the row of an order that an operator cancelled.
func CancelEntry(by Operator, cmd string, v Verdict) AuditEntry {
	return AuditEntry{
		By: by, Action: "cancel", SaleID: v.SaleID, Target: "order " + v.ID.String(), Command: cmd,
		Before: json.RawMessage(`{"status":"confirmed"}`), After: json.RawMessage(`{"status":"cancelled"}`),
	}
}

// DiscardEntry is the row of a dead letter that an operator discarded; the
// log is what remains of it, but for its body.
func DiscardEntry(by Operator, cmd string, d DeadLetter) AuditEntry {
	return AuditEntry{
		By: by, Action: "discard", SaleID: d.SaleID, Target: fmt.Sprintf("dead letter %+q", d.MessageID), Command: cmd,
		Before: document(map[string]json.RawMessage{
			"order_id": document(d.OrderID.String()), "shopper_id": document(d.ShopperID),
			"reason": document(d.Reason), "detail": document(d.Detail), "size": document(len(d.Body)),
		}),
	}
}

func saleTarget(id int64) string { return fmt.Sprintf("sale %d", id) }

// values are what operators change of a sale, by name, as JSON.
func (s Sale) values() map[string]json.RawMessage {
	values := map[string]json.RawMessage{}
	for name, v := range map[string]any{
		"external_id": s.ExternalID, "title": s.Title, "sku": s.SKU, "price_minor": s.PriceMinor, "currency": s.Currency,
		"total": s.Total, "available": s.Available, "orders_per_shopper": s.OrdersPerShopper, "units_per_order": s.UnitsPerOrder,
		"starts_at": s.StartsAt, "ends_at": s.EndsAt, "pay_within": s.PayWithin.String(),
		"require_permit": s.RequirePermit, "require_claim": s.RequireClaim,
		"state": s.State, "voided": s.Voided, "version": s.Version,
	} {
		values[name] = document(v)
	}
	return values
}

func document(v any) json.RawMessage {
	text, _ := json.Marshal(v) //nolint:errchkjson // strings, numbers, times before the year 10,000: it cannot fail
	return text
}

// The sizes of the columns.
const (
	maxActor  = 128
	maxTarget = 192
)

// Fitted returns e as it is kept: each field cut to the size of its column.
func (e AuditEntry) Fitted() AuditEntry {
	e.By.Name = head(e.By.Name, maxActor)
	e.Target = head(e.Target, maxTarget)
	return e
}

// writeAudit is part of the transaction that changed something. What a process
// of ours did is not in the log.
func writeAudit(ctx context.Context, tx *sql.Tx, e AuditEntry) error {
	if e.By == (Operator{}) {
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
// database, once for all calls with the same command; false when it was there.
func (s *Store) Note(ctx context.Context, e AuditEntry) (fresh bool, err error) {
	if err := ValidateCommand(e.Command); err != nil {
		return false, err
	}
	err = s.retry(ctx, e.Action, func(int) error {
		return s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			n, _, err := exec(ctx, tx, insertCommand, e.Command, e.SaleID, e.Action)
			if err != nil {
				return err
			}
			if fresh = n == 1; !fresh {
				return sameCommand(ctx, tx, e.Command, e.SaleID, e.Action)
			}
			return writeAudit(ctx, tx, e)
		})
	})
	return fresh, err
}

// AuditLog returns rows of the audit log, newest first.
func (s *Store) AuditLog(ctx context.Context, q AuditQuery) ([]AuditEntry, error) {
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
	var entries []AuditEntry
	err := query(ctx, s.db, func(rows *sql.Rows) error {
		var e AuditEntry
		var before, after sql.NullString
		err := rows.Scan(&e.ID, &e.At, &e.By.Name, &e.By.Role, &e.Action, &e.SaleID, &e.Target, &before, &after, &e.Command)
		e.Before, e.After = raw(before), raw(after)
		entries = append(entries, e)
		return err
	}, `SELECT id, at, actor, role, action, sale_id, target, value_before, value_after, command_id FROM audit_log
		WHERE `+strings.Join(where, ` AND `)+` ORDER BY id DESC LIMIT ?`, append(args, q.Limit)...)
	if err != nil {
		return nil, fmt.Errorf("order: audit log: %w", err)
	}
	return entries, nil
}

func raw(s sql.NullString) json.RawMessage {
	if !s.Valid {
		return nil
	}
	return json.RawMessage(s.String)
}
