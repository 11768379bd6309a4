package model_test

import "slices"

// MySQL: order/settle.go, slots.go, deduct.go, void.go. A transaction is one step.

// commit logs a change; the caller has done the rest in the same transaction.
func (d *mysql) commit(ch change) uint8 {
	d.log[d.seq] = ch // out of range: the budgets are too large for maxLog
	d.seq++
	return d.seq
}

// usedUp reports whether a shopper who has returned n orders gets no more.
func (c *config) usedUp(n uint8) bool { return c.attempts > 0 && n >= c.attempts }

// cancel is T7: by its shopper, or for want of a payment, it counts; by an
// operator it does not.
func (c *config) cancel(t *state, i int, byOperator bool) (seq uint8) {
	d, ch, who := &t.db, change{}, c.asks[i].shopper
	d.row[i], ch.to[i] = cancelled, cancelled
	d.avail += c.asks[i].units
	if byOperator {
		t.byOperator |= bit(i)
	}
	if c.attempts > 0 && (!byOperator || c.is(operatorCounts)) {
		d.back[who]++
		ch.back[who] = d.back[who]
	}
	return d.commit(ch)
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
		for _, j := range fresh { // of one ID in a batch the first is inserted
			if c.sameID(i, j) {
				other = j
			}
		}
		switch {
		case d.row[i] != none:
			read[i] = d.row[i]
		case other >= 0 && c.is(noCollisionCheck):
			read[i] = d.row[other]
		case other >= 0:
			d.row[i], ch.to[i] = rejected, rejected // the row is in dead_letters
		default:
			fresh = append(fresh, i)
		}
	}
	c.place(d, slots, fresh)
	for _, i := range fresh {
		units, who := c.asks[i].units, c.asks[i].shopper
		if d.row[i] == confirmed && c.usedUp(d.back[who]) && !c.is(settleCountsNot) {
			d.row[i], d.slot[i] = rejected, 0
			ch.back[who] = d.back[who]
		}
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

// place confirms each order in the slot it wants, in ID order, as the INSERT
// does; then those that met a taken one in the lowest that is free, or rejects
// them: no slot, or the key has bought. Of one key the first remains.
func (c *config) place(d *mysql, want perOrder, fresh []int) {
	var moved []int
	for _, i := range fresh {
		if want[i] == noSlot {
			want[i] = c.freeSlot(d, i)
		}
	}
	for _, i := range fresh {
		if want[i] == noSlot || c.taken(d, i, want[i]) && !c.is(noSlotKey) {
			moved = append(moved, i)
		} else {
			d.row[i], d.slot[i] = confirmed, want[i]
		}
	}
	for _, i := range moved {
		d.row[i], d.slot[i] = rejected, 0
		if k := c.freeSlot(d, i); k != noSlot {
			d.row[i], d.slot[i] = confirmed, k
		}
	}
	for _, i := range fresh {
		for j := range c.asks {
			first := j < i || !slices.Contains(fresh, j)
			if first && c.limit > 1 && live(d.row[i]) && c.bought(d, i, j) && !c.is(noKeyCheck) {
				d.row[i], d.slot[i] = rejected, 0
			}
		}
	}
}

// bought reports whether j is a live order by the shopper and key of i.
func (c *config) bought(d *mysql, i, j int) bool {
	return i != j && c.sameShopper(i, j) && live(d.row[j]) && c.asks[i].key == c.asks[j].key
}

func (c *config) taken(d *mysql, i int, slot uint8) bool {
	for j := range c.asks {
		if j != i && c.sameShopper(i, j) && live(d.row[j]) && d.slot[j] == slot {
			return true
		}
	}
	return false
}

// freeSlot is the lowest free slot for i; none when its key has bought.
func (c *config) freeSlot(d *mysql, i int) uint8 {
	for j := range c.asks {
		if c.bought(d, i, j) {
			return noSlot
		}
	}
	for k := range c.limit {
		if !c.taken(d, i, k) {
			return k
		}
	}
	return noSlot
}

// void is T4: a tombstone where there is no verdict yet.
func (c *config) void(d *mysql, i int) (seq uint8) {
	if d.row[i] != none {
		return 0
	}
	d.row[i] = rejected // a row or, where the ID is another order's, a dead letter
	return d.commitOrder(i)
}
