package order

// Report is the result of a sale.
type Report struct {
	Tally

	Amounts map[Status]int64 // in the currency's minor unit
	Returns []ReturnedTimes  // by Times; those that nobody reached are left out
	Refunds []RefundSum      // by currency
}

// Tally are the sums over a sale's rows.
type Tally struct {
	Sale        Sale
	Orders      map[Status]int64
	Units       map[Status]int64
	LiveUnits   int64 // confirmed and paid: Sale.Total - Sale.Available, or something is wrong
	DeadLetters int64
}

// NewTally returns the Tally of a sale without orders.
func NewTally(s Sale) Tally {
	return Tally{Sale: s, Orders: map[Status]int64{}, Units: map[Status]int64{}}
}

// Add adds orders of one status and their units.
func (t *Tally) Add(s Status, orders, units int64) {
	t.Orders[s] += orders
	t.Units[s] += units
	if s.Live() {
		t.LiveUnits += units
	}
}
