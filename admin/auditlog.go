package admin

import (
	"context"
	"encoding/json"
	"strconv"

	"seckill/order"
)

// auditLog records the changes that operators made.
type auditLog interface {
	AuditLog(ctx context.Context, q order.AuditQuery) ([]order.AuditEntry, error)
	Note(ctx context.Context, e order.AuditEntry) (fresh bool, err error)
}

// History returns rows of the audit log, newest first.
func (s *Service) History(ctx context.Context, q order.AuditQuery) ([]order.AuditEntry, error) {
	return ask(ctx, func(ctx context.Context) ([]order.AuditEntry, error) { return s.auditLog.AuditLog(ctx, q) })
}

// AuditView is the JSON of a row of the audit log.
type AuditView struct {
	ID      string          `json:"id"`
	At      string          `json:"at"`
	Actor   string          `json:"actor"`
	Role    string          `json:"role"`
	Action  string          `json:"action"`
	SaleID  string          `json:"sale_id,omitempty"`
	Target  string          `json:"target"`
	Before  json.RawMessage `json:"before"`
	After   json.RawMessage `json:"after"`
	Command string          `json:"command"`
}

// ViewAudit returns the JSON of e.
func ViewAudit(e order.AuditEntry) AuditView {
	return AuditView{
		ID: strconv.FormatInt(e.ID, 10), At: timestamp(e.At), Actor: e.By.Name, Role: e.By.Role, Action: e.Action,
		SaleID: FormatID(e.SaleID), Target: e.Target, Before: e.Before, After: e.After, Command: e.Command,
	}
}
