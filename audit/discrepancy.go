package audit

import (
	"fmt"
	"time"

	"seckill/order"
	"seckill/stock"
)

// Discrepancy is one thing that is wrong. OrderID is empty when it concerns the
// sale as a whole.
type Discrepancy struct {
	Kind    string `json:"kind"`
	OrderID string `json:"order_id,omitempty"`
	Detail  string `json:"detail"`
}

func (d Discrepancy) String() string {
	if d.OrderID == "" {
		return d.Kind + ": " + d.Detail
	}
	return d.Kind + ": order " + d.OrderID + ": " + d.Detail
}

// checks collects the discrepancies of a sale.
type checks struct {
	saleID int64
	found  []Discrepancy
}

func (c *checks) checkf(holds bool, kind, format string, args ...any) {
	if !holds {
		c.found = append(c.found, Discrepancy{Kind: kind, Detail: fmt.Sprintf(format, args...) + advice(kind, c.saleID)})
	}
}

// Kinds of a sale as a whole.
const (
	KindOversold  = "oversold"       // more live units than the total
	KindUnits     = "mysql_units"    // available and live units do not add up to the total
	KindNotLoaded = "not_loaded"     // a sale that should be in Redis is not
	KindCounters  = "redis_counters" // available, pending and settled do not add up to the total
	KindCursor    = "cursor_behind"  // the tail does not keep up
	KindTotal     = "redis_total"    // Redis has another total than MySQL
	KindSettled   = "redis_settled"  // the settled units in Redis are not the live units in MySQL
)

// Kinds of one order. The first three are healed.
const (
	KindVerdict   = "verdict_missed"  // pending in Redis, decided in MySQL
	KindCancelled = "cancel_missed"   // settled in Redis, cancelled in MySQL
	KindOverdue   = "pending_overdue" // pending for too long
	KindNoRow     = "no_live_row"     // settled in Redis, without a live row
	KindUnknown   = "not_in_redis"    // live in MySQL, absent in Redis
	KindGivenBack = "given_back"      // live in MySQL, given back in Redis
	KindDiffers   = "differs"         // live in both, with another slot or quantity
)

// kinds are all kinds, for the metrics.
var kinds = []string{
	KindOversold, KindUnits, KindNotLoaded, KindCounters, KindCursor, KindTotal, KindSettled,
	KindVerdict, KindCancelled, KindOverdue, KindNoRow, KindUnknown, KindGivenBack, KindDiffers,
}

// healable reports whether kind is healed by replaying the order's verdict or,
// for an order without one, by the sweeper.
func healable(kind string) bool {
	return kind == KindVerdict || kind == KindCancelled || kind == KindOverdue
}

// advice says what an operator can do about a kind that no replay heals.
func advice(kind string, saleID int64) string {
	switch kind {
	case KindCounters, KindTotal, KindSettled, KindNoRow, KindUnknown, KindGivenBack, KindDiffers:
		return fmt.Sprintf("; `seckill rebuild %d` loads the sale again from MySQL", saleID)
	default:
		return ""
	}
}

// overdue is the age at which a pending order should have had its verdict.
const overdue = 60 * time.Second

// compare compares an entry in Redis with the verdict in MySQL; either is nil if
// there is none. The kind is empty when they agree.
func compare(e *stock.Entry, v *order.Verdict, age time.Duration) (kind, detail string) {
	if e == nil {
		if v != nil && v.Status.Live() {
			return KindUnknown, fmt.Sprintf("%s in MySQL, unknown to Redis", v.Status)
		}
		return "", ""
	}
	switch {
	case e.State == stock.EntryPending && v != nil:
		return KindVerdict, fmt.Sprintf("pending in Redis, %s in MySQL", v.Status)
	case e.State == stock.EntryPending && age > overdue:
		return KindOverdue, fmt.Sprintf("pending for %s without a row in MySQL", age.Round(time.Second))
	case e.State == stock.EntrySettled && v == nil:
		return KindNoRow, "settled in Redis, without a row in MySQL"
	case e.State == stock.EntrySettled && v.Status == order.StatusCancelled:
		return KindCancelled, "settled in Redis, cancelled in MySQL"
	case e.State == stock.EntrySettled && !v.Status.Live():
		return KindNoRow, fmt.Sprintf("settled in Redis, %s in MySQL", v.Status)
	case e.State == stock.EntrySettled && (e.Slot != v.Slot || e.Quantity != v.Quantity):
		return KindDiffers, fmt.Sprintf("slot %d with %d units in Redis, slot %d with %d in MySQL", e.Slot, e.Quantity, v.Slot, v.Quantity)
	case !e.State.Live() && v != nil && v.Status.Live():
		return KindGivenBack, fmt.Sprintf("given back in Redis, %s in MySQL", v.Status)
	}
	return "", ""
}
