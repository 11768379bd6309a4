package order

import "time"

// idSlack is how far the clocks of a fleet may differ: a sale's ID is older
// than those of its orders, by the clock of whoever made it.
const idSlack = 2 * time.Hour

// SlotCursor is how far LiveOrders has come in a sale. The zero SlotCursor is the
// beginning, and the end.
type SlotCursor struct {
	ShopperID string
	Slot      int
	Dead      bool // the last order was not live: a live one may follow in its slot
}

// SlotCursor is the cursor behind r.
func (r Record) SlotCursor() SlotCursor {
	return SlotCursor{ShopperID: r.ShopperID, Slot: r.Slot, Dead: !r.Status.Live()}
}

// MaxSales is how many sales a store lists that are not closed. Where there are
// more, those are left out first that start later than in StartsSoon: nothing has
// to be done for them yet. Those that sell are left out last.
const (
	MaxSales   = 1000
	StartsSoon = time.Hour
)

// Orders that one call looks at.
const (
	SnapshotPage = 1000
	ReportPage   = 5000
	ExtendPage   = 256
)

// FirstOrder is after or, if that is 0, an ID before any order of the sale.
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
