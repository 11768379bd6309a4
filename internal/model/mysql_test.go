package model_test

// MySQL: order/settle.go, slots.go, deduct.go, void.go. A transaction is one step.

// commit logs a change; the caller has done the rest in the same transaction.
func (d *mysql) commit(ch change) uint8 {
	d.log[d.seq] = ch // out of range: the budgets are too large for maxLog
	d.seq++
	return d.seq
}

// commitOrder logs the verdict that order i has now.
func (d *mysql) commitOrder(i int) uint8 {
	var ch change
	ch.to[i] = d.row[i]
	return d.commit(ch)
}

// settle is T3 for a batch in ID order. It returns the change it made, 0 if it
// decided nothing, and the verdicts that stood.
func (c *config) settle(d *mysql, slots perOrder, batch ...int) (seq uint8, read perOrder) {
	var ch change
	var fresh []int
	for _, i := range batch {
		other := c.ownerOfID(d, i)
		switch {
		case d.row[i] != none:
			read[i] = d.row[i]
		case other >= 0 && c.is(noCollisionCheck):
			read[i] = d.row[other]
		case other >= 0:
			d.row[i], ch.to[i] = rejected, rejected // the row is in dead_letters
		default:
			fresh = append(fresh, i)
			c.place(d, i, slots[i])
		}
	}
	for _, i := range fresh {
		units := c.asks[i].units
		if d.row[i] == confirmed && d.avail < units {
			d.row[i], d.slot[i] = rejected, 0
		}
		if d.row[i] == confirmed {
			d.avail -= units
		}
		ch.to[i] = d.row[i]
		if c.is(rollsRefusalsBack) && d.row[i] == rejected { // told, not committed
			d.row[i], ch.to[i], read[i] = none, none, rejected
		}
	}
	if ch != (change{}) {
		seq = d.commit(ch)
	}
	return seq, read
}

// ownerOfID is another order whose row has the ID of i, or -1.
func (c *config) ownerOfID(d *mysql, i int) int {
	for j := range c.asks {
		if j != i && c.sameID(i, j) && d.row[j] != none {
			return j
		}
	}
	return -1
}

// place confirms i in the slot it wants or else the lowest that is free, or
// rejects it: no slot, or its key has bought.
func (c *config) place(d *mysql, i int, want uint8) {
	var taken [maxOrders]bool
	bought := false
	for j := range c.asks {
		if j != i && c.sameShopper(i, j) && live(d.row[j]) {
			taken[d.slot[j]] = true
			bought = bought || c.asks[i].key == c.asks[j].key
		}
	}
	d.row[i], d.slot[i] = rejected, 0
	own := want < c.limit && (!taken[want] || c.is(noSlotKey))
	if bought && !c.is(noSlotKey) && !(own && c.is(noKeyCheck)) {
		return
	}
	for k := uint8(0); !own && k < c.limit; k++ {
		if own = !taken[k]; own {
			want = k
		}
	}
	if own {
		d.row[i], d.slot[i] = confirmed, want
	}
}

// void is T4: a fence where there is no verdict yet.
func (c *config) void(d *mysql, i int) (seq uint8) {
	if d.row[i] != none {
		return 0
	}
	d.row[i] = rejected // a row or, where the ID is another order's, a dead letter
	return d.commitOrder(i)
}
