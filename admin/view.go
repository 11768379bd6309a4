package admin

import (
	"encoding/json"
	"strconv"
	"time"

	"seckill/order"
	"seckill/stock"
)

// SaleView is a sale as a program reads it, here and from the command line.
type SaleView struct {
	ID               string     `json:"id"`
	ExternalID       string     `json:"external_id,omitempty"`
	Title            string     `json:"title"`
	SKU              string     `json:"sku"`
	PriceMinor       int64      `json:"price_minor"`
	Currency         string     `json:"currency"`
	State            string     `json:"state"`
	StartsAt         string     `json:"starts_at"`
	EndsAt           string     `json:"ends_at"`
	OrdersPerShopper int        `json:"orders_per_shopper"`
	UnitsPerOrder    int        `json:"units_per_order"`
	RequirePermit    bool       `json:"require_permit,omitempty"`
	RequireClaim     string     `json:"require_claim,omitempty"`
	Total            int        `json:"total"`
	Available        int        `json:"available"`
	PayWithin        string     `json:"pay_within"`
	Voided           bool       `json:"voided,omitempty"`
	Version          uint64     `json:"version"`
	Seq              uint64     `json:"seq"`
	InForce          *bool      `json:"in_force,omitempty"` // of a change: false while Redis does not know it yet
	Redis            *RedisView `json:"redis,omitempty"`
}

// RedisView is what Redis says of a sale.
type RedisView struct {
	Loaded    bool   `json:"loaded"`
	State     string `json:"state,omitempty"`
	Total     int64  `json:"total"`
	Available int64  `json:"available"`
	Pending   int64  `json:"pending"`
	Settled   int64  `json:"settled"`
	Applied   uint64 `json:"applied"` // the last change that it knows: the sale's seq, or it is behind
	Epoch     uint64 `json:"epoch"`
	Error     string `json:"error,omitempty"`
}

// ViewSale is s as a program reads it.
func ViewSale(s order.Sale) SaleView {
	return SaleView{
		ID: strconv.FormatInt(s.ID, 10), ExternalID: s.ExternalID, Title: s.Title, SKU: s.SKU,
		PriceMinor: s.PriceMinor, Currency: s.Currency, State: string(s.State),
		StartsAt: timestamp(s.StartsAt), EndsAt: timestamp(s.EndsAt),
		OrdersPerShopper: s.OrdersPerShopper, UnitsPerOrder: s.UnitsPerOrder,
		RequirePermit: s.RequirePermit, RequireClaim: s.RequireClaim,
		Total: s.Total, Available: s.Available, PayWithin: s.PayWithin.String(), Voided: s.Voided, Version: s.Version, Seq: s.Seq,
	}
}

// ViewStatus is a sale with what Redis says of it.
func ViewStatus(s SaleStatus) SaleView {
	v := ViewSale(s.Sale)
	v.Redis = viewMeta(s.Meta)
	return v
}

func viewMeta(m stock.Meta) *RedisView {
	v := &RedisView{
		Loaded: m.Loaded, State: string(m.State), Total: m.Total, Available: m.Available,
		Pending: m.Pending, Settled: m.Settled, Applied: m.Applied, Epoch: m.Epoch,
	}
	if m.Err != nil {
		v.Error = "redis cannot be asked"
	}
	return v
}

// viewResult is a sale after an action.
func ViewResult(r Result) SaleView {
	v := ViewSale(r.Sale)
	inForce := r.Behind == nil
	v.InForce = &inForce
	return v
}

// AuditView is a row of the audit log as a program reads it.
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

// ViewAudit is e as a program reads it.
func ViewAudit(e order.AuditEntry) AuditView {
	v := AuditView{
		ID: strconv.FormatInt(e.ID, 10), At: timestamp(e.At), Actor: e.By.Name, Role: e.By.Role, Action: e.Action,
		Target: e.Target, Before: e.Before, After: e.After, Command: e.Command,
	}
	if e.SaleID != 0 {
		v.SaleID = strconv.FormatInt(e.SaleID, 10)
	}
	return v
}

func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }
