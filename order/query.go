package order

import "time"

// idSlack is how far the clocks of all processes may differ. A sale's ID is older
// than its orders' IDs, by the clock of the process that made it.
const idSlack = 2 * time.Hour

// SlotCursor is the position of LiveOrders in a sale. The zero SlotCursor is the
// beginning, and the end.
type SlotCursor struct {
	ShopperID string
	Slot      int
	Dead      bool // the last order was not live: a live one may follow in its slot
}

// SlotCursor returns the position after r.
func (r Record) SlotCursor() SlotCursor {
	return SlotCursor{ShopperID: r.ShopperID, Slot: r.Slot, Dead: !r.Status.Live()}
}

// MaxSales is the maximum length of the list of sales that are not closed. If there
// are more, those that start later than StartsSoon are left out first, because they
// need no work yet. Sales that sell are left out last.
const (
	MaxSales   = 1000
	StartsSoon = time.Hour
)

// The number of orders that one page has.
const (
	SnapshotPage = 1000
	ReportPage   = 5000
	ExtendPage   = 256
)

// FirstOrder returns after or, if that is 0, an ID below all orders of the sale.
func FirstOrder(saleID int64, after ID) ID {
	if after != 0 {
		return after
	}
	return max(0, ID(saleID)-ID(idSlack.Milliseconds())<<timeShift)
}

// Query selects orders of one sale, newest first.
type Query struct {
	SaleID    int64
	Reference string // "": of any
	Before    ID     // orders with a lower ID; 0: from the newest
	Limit     int
}
