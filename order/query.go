package order

import "time"

// idSlack is how far the clocks of a fleet may differ: a sale's ID is older
// than those of its orders, by the clock of whoever made it.
const idSlack = 2 * time.Hour

// Place is how far LiveOrders has come in a sale. The zero Place is its beginning,
// and its end.
type Place struct {
	ShopperID string
	Slot      int
	Dead      bool // the order there was not live: one that is may follow in its slot
}

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
