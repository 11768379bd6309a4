package model_test

import "math/bits"

// Redis: a script is one step.

// keyed is the key that the entry of i still holds, 0 for none.
func (c *config) keyed(r *redis, i int) uint8 {
	if c.is(dropsKey) && (r.ent[i] == settled || r.ent[i] == dropped) {
		return 0
	}
	return c.asks[i].key
}

// reserve is T1, reserve.lua: done (order i has its entry), or the order that
// its key names, or -1 when it is refused.
func (c *config) reserve(r *redis, i int) (done bool, named int) {
	if r.ent[i] != absent {
		return true, i // an earlier run of this very call
	}
	named = -1
	used := uint8(0)
	for j := range c.asks {
		if !c.sameShopper(i, j) || r.ent[j] == absent {
			continue
		}
		alive := held(r.ent[j])
		if alive && r.slot[j] != noSlot {
			used |= bit(int(r.slot[j]))
		}
		if c.keyed(r, j) == c.asks[i].key && (alive || c.asks[i].key != 0) && (named < 0 || !held(r.ent[named])) {
			named = j
		}
	}
	free := uint8(bits.TrailingZeros8(^used))
	if named >= 0 || r.state != open || free >= c.limit || c.usedUp(r.back[c.asks[i].shopper]) || r.avail < c.asks[i].units {
		return false, named
	}
	r.avail -= c.asks[i].units
	r.pend += c.asks[i].units
	r.ent[i], r.slot[i] = pending, free
	return true, i
}

// apply is apply.lua for change seq of the log, or with seq 0 a replay of verdicts.
func (c *config) apply(s *state, seq uint8, ch change) {
	r := &s.r
	if r.loaded == 0 {
		return
	}
	first := false
	switch {
	case seq == r.applied+1:
		first = true
		r.applied++
		c.jump(r)
	case seq > r.applied && c.is(cursorJumps):
		first = true
		r.applied = seq
	case seq > r.applied && r.marks&bit(int(seq)-1) == 0:
		if ch.ofSale == 1 && !c.is(marksSaleEffect) && !c.is(appliesSaleEarly) {
			return
		}
		first = !c.is(aheadAdoptsNot) && (!c.is(marksSaleEffect) || ch.ofSale == 0)
		r.marks |= bit(int(seq) - 1)
	}
	c.count(r, ch.back)
	for i, to := range ch.to {
		if to != none {
			c.affect(s, i, to, first || c.is(adoptsAlways))
		}
	}
	if ch.ofSale == 1 && first {
		r.total += ch.units
		r.avail += ch.units
		r.state = ch.state
	}
}

// count takes over what a change says of shoppers: a number and no step, so that
// it may come again, late, and whatever entries are left.
func (c *config) count(r *redis, back perShopper) {
	for who, n := range back {
		switch {
		case c.is(redisCountsNot):
		case c.is(redisAddsUp) && n > 0:
			r.back[who]++
		default:
			r.back[who] = max(r.back[who], n)
		}
	}
}

// jump moves the cursor over the marks that follow it and deletes them.
func (c *config) jump(r *redis) {
	for r.marks&(1<<r.applied) != 0 || c.is(jumpsUnmarked) && r.marks>>r.applied != 0 {
		r.applied++
	}
	if !c.is(keepsMarks) {
		r.marks &^= 1<<r.applied - 1
	}
}

// affect is T5, T6 or T8 for one order: a compare-and-set, that from absent
// acts only for a change applied for the first time.
func (c *config) affect(s *state, i int, to uint8, first bool) {
	r, from, units := &s.r, s.r.ent[i], c.asks[i].units
	if c.is(noCompareAndSet) && to == rejected {
		from = pending
	}
	switch {
	case live(to) && from == pending:
		r.pend -= units
		r.set += units
		c.settleEntry(r, i, s.db.slot[i])
	case live(to) && from == absent && first && !c.is(noAdopt):
		r.avail -= units
		r.set += units
		c.settleEntry(r, i, s.db.slot[i])
	case to == rejected && from == pending:
		r.pend -= units
		r.avail += units
		c.bury(r, i, refused)
	case to == cancelled && from == pending:
		r.pend -= units
		r.avail += units
		c.bury(r, i, dropped)
	case to == cancelled && from == settled:
		r.set -= units
		r.avail += units
		c.bury(r, i, dropped)
	case to == cancelled && from == absent && first:
		c.bury(r, i, dropped)
	}
}

// settleEntry gives the entry the row's slot; a pending one that held it has none.
func (c *config) settleEntry(r *redis, i int, slot uint8) {
	if c.is(keepsPendingSlot) && r.ent[i] == pending {
		r.ent[i] = settled
		return
	}
	r.ent[i], r.slot[i] = settled, slot
	for j := range c.asks {
		if c.sameShopper(i, j) && r.ent[j] == pending && r.slot[j] == slot {
			r.slot[j] = noSlot
		}
	}
}

func (c *config) bury(r *redis, i int, as uint8) {
	r.ent[i], r.slot[i] = as, 0
	if c.is(noTombstone) {
		r.ent[i] = absent
	}
}

// finish is load.lua: the load of b in place, unless there is a meta or a part
// of it is missing.
func (c *config) finish(s *state, b int) {
	me, have := s.b[b], s.r.load[b]
	s.b[b], s.r.load[b] = loader{}, 0
	if s.r.loaded == 1 && !c.is(renamesOverMeta) {
		return
	}
	if have != me.live && !c.is(countsNoLoad) {
		return
	}
	load := s.r.load
	s.r = redis{loaded: 1, state: me.state, applied: me.seq, total: me.total, avail: me.total, load: load, back: me.back}
	if c.is(loadsNoCounts) {
		s.r.back = perShopper{}
	}
	if c.is(loadsWithoutSeq) {
		s.r.applied = s.db.seq
	}
	for i := range c.asks {
		if me.live&bit(i) != 0 {
			s.r.avail -= c.asks[i].units
			s.r.set += c.asks[i].units
		}
		if have&bit(i) != 0 {
			c.settleEntry(&s.r, i, s.db.slot[i])
		}
	}
}
