package order

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"time"
)

// AuditEntry is one row of the audit log: what an operator changed. The log has no
// refused commands.
type AuditEntry struct {
	ID      int64 // set by the store; rises, with gaps
	At      time.Time
	By      Operator
	Action  string
	SaleID  int64  // 0: concerns no sale
	Target  string // such as "sale 12" or "order 7"
	Before  json.RawMessage
	After   json.RawMessage // nil, like Before, where there is no value
	Command string
}

// AuditQuery selects rows of the audit log, newest first.
type AuditQuery struct {
	SaleID int64  // 0: of all
	Actor  string // "": of all
	Before int64  // rows with a lower ID; 0: from the newest
	Limit  int
}

// Entry is the audit entry of an operation that changed before to after.
func (o Operation) Entry(before, after Sale) AuditEntry {
	e := AuditEntry{By: o.By, Action: o.Action.Name, SaleID: o.SaleID, Target: saleTarget(o.SaleID), Command: o.Command}
	was, is := before.values(), after.values()
	maps.DeleteFunc(was, func(name string, v json.RawMessage) bool { return bytes.Equal(v, is[name]) })
	maps.DeleteFunc(is, func(name string, _ json.RawMessage) bool { return was[name] == nil })
	e.Before, e.After = document(was), document(is)
	return e
}

// Entry is the audit entry of a new sale.
func (c Creation) Entry() AuditEntry {
	return AuditEntry{
		By: c.By, Action: "create", SaleID: c.Sale.ID, Target: saleTarget(c.Sale.ID),
		After: document(c.Sale.values()), Command: c.Command,
	}
}

// CancelEntry is the audit entry of an order that an operator cancelled.
func CancelEntry(by Operator, cmd string, v Verdict) AuditEntry {
	return AuditEntry{
		By: by, Action: "cancel", SaleID: v.SaleID, Target: "order " + v.ID.String(), Command: cmd,
		Before: json.RawMessage(`{"status":"confirmed"}`), After: json.RawMessage(`{"status":"cancelled"}`),
	}
}

// DiscardEntry is the audit entry of a dead letter that an operator discarded. It
// keeps everything of it but the body.
func DiscardEntry(by Operator, cmd string, d DeadLetter) AuditEntry {
	return AuditEntry{
		By: by, Action: "discard", SaleID: d.SaleID, Target: fmt.Sprintf("dead letter %+q", d.MessageID), Command: cmd,
		Before: document(map[string]json.RawMessage{
			"order_id": document(d.OrderID.String()), "shopper_id": document(d.ShopperID),
			"reason": document(d.Reason), "detail": document(d.Detail), "size": document(len(d.Body)),
		}),
	}
}

// RefundedEntry is the audit entry of a payment whose money an operator returned.
func (p PaymentRecord) RefundedEntry(by Operator, cmd string) AuditEntry {
	return AuditEntry{
		By: by, Action: "refunded", SaleID: p.SaleID, Target: "payment " + p.EventID, Command: cmd,
		Before: document(map[string]json.RawMessage{
			"order_id": document(p.OrderID.String()), "amount_minor": document(p.AmountMinor), "currency": document(p.Currency), "reason": document(p.Reason),
		}),
		After: document(map[string]json.RawMessage{"refunded_at": document(p.RefundedAt)}),
	}
}

func saleTarget(id int64) string { return fmt.Sprintf("sale %d", id) }

// values are the fields that operators change, by name, as JSON.
func (s Sale) values() map[string]json.RawMessage {
	values := map[string]json.RawMessage{}
	for name, v := range map[string]any{
		"external_id": s.ExternalID, "title": s.Title, "sku": s.SKU, "price_minor": s.PriceMinor, "currency": s.Currency,
		"total": s.Total, "available": s.Available, "orders_per_shopper": s.OrdersPerShopper, "units_per_order": s.UnitsPerOrder,
		"attempts_per_shopper": s.AttemptsPerShopper,
		"starts_at":            s.StartsAt, "ends_at": s.EndsAt, "pay_within": s.PayWithin.String(),
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

// Fitted returns e with each field cut to the size of its column.
func (e AuditEntry) Fitted() AuditEntry {
	e.By.Name = head(e.By.Name, maxActor)
	e.Target = head(e.Target, maxTarget)
	return e
}
