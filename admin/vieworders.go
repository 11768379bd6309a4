package admin

import (
	"fmt"

	"seckill/order"
	"seckill/stock"
)

// OrderView is an order as a program reads it: what each store says of it.
type OrderView struct {
	ID        string `json:"id"`
	SaleID    string `json:"sale_id,omitempty"`
	ShopperID string `json:"shopper_id,omitempty"`
	Quantity  int    `json:"quantity,omitempty"`
	Reference string `json:"reference,omitempty"`
	Key       string `json:"key_digest,omitempty"` // of its Idempotency-Key
	// Status is the verdict; pending for one that Redis alone has.
	Status      string `json:"status"`
	Reason      string `json:"reason,omitempty"`
	AmountMinor int64  `json:"amount_minor,omitempty"`
	ReservedAt  string `json:"reserved_at"` // when its ID was made
	DecidedAt   string `json:"decided_at,omitempty"`
	PayBy       string `json:"pay_by,omitempty"`
	// Redis is what Redis has: pending, settled, rejected, cancelled; empty for
	// nothing, or where it was not asked.
	Redis   string       `json:"redis,omitempty"`
	Sale    *SaleView    `json:"sale,omitempty"`
	Letters []LetterView `json:"dead_letters,omitempty"`
	// Where says in a sentence where the order is.
	Where string `json:"where,omitempty"`
}

// ViewOrder is f as a program reads it.
func ViewOrder(f Found) OrderView {
	o := f.Order
	v := OrderView{
		ID: o.ID.String(), SaleID: FormatID(o.SaleID), ShopperID: o.ShopperID, Quantity: o.Quantity, Reference: o.Reference,
		Status: string(order.StatusPending), ReservedAt: timestamp(o.ID.Time()),
	}
	if o.Key != 0 {
		v.Key = fmt.Sprintf("%016x", o.Key)
	}
	if r := f.Row; r != nil {
		v.Status, v.Reason = string(r.Status), string(r.Reason)
		v.AmountMinor, v.DecidedAt = r.UnitPrice*int64(r.Quantity), timestamp(r.DecidedAt)
		if !r.PayBy.IsZero() {
			v.PayBy = timestamp(r.PayBy)
		}
	}
	if f.Entry != nil {
		v.Redis = entryState(f.Entry.State)
	}
	for _, d := range f.Letters {
		v.Letters = append(v.Letters, ViewWhole(d))
		if d.IsVerdict() && f.Row == nil {
			v.Status, v.Reason = string(order.StatusRejected), Printable(d.Reason)
		}
	}
	if f.Sale != nil {
		sale := ViewStatus(*f.Sale)
		v.Sale, v.Where = &sale, where(f)
	}
	return v
}

func entryState(s stock.EntryState) string {
	switch s {
	case stock.EntryPending:
		return "pending"
	case stock.EntrySettled:
		return "settled"
	case stock.EntryRejected:
		return "rejected"
	case stock.EntryCancelled:
		return "cancelled"
	default:
		return string(s)
	}
}

// where says where an order is, for who supports shoppers.
func where(f Found) string {
	told := f.Sale.Meta.Err == nil && f.Sale.Meta.Loaded
	switch {
	case f.Row == nil && f.Entry != nil:
		return "Reserved in Redis, without a verdict: its message waits in the queue, or the sweeper settles it 30 s after it was reserved."
	case f.Row == nil:
		return "It has no row: see the dead letters."
	case f.Entry != nil && f.Entry.State == stock.EntryPending:
		return "Decided in MySQL; Redis has yet to be told, which the consumers do within seconds."
	case f.Row.Status == order.StatusConfirmed && told && f.Entry == nil:
		return "Confirmed in MySQL, unknown to Redis: the tail adopts it within seconds, else the audit lists it."
	case f.Row.Status == order.StatusConfirmed:
		return "Confirmed, and not paid yet."
	case f.Row.Status == order.StatusRejected:
		return "Rejected, for good."
	default:
		return "It is " + string(f.Row.Status) + ", for good."
	}
}
