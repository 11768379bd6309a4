package model_test

import (
	"math/bits"
	"slices"
)

// The state of the whole system: a plain comparable value of bytes.

const (
	maxOrders = 4
	maxLog    = 8
	noSlot    = 9
	shoppers  = 3
)

// What the API knows of a request.
const (
	idle uint8 = iota
	unknown
	reserved
	answered
)

// An entry in Redis.
const (
	absent uint8 = iota
	pending
	settled
	refused
	dropped
)

// A verdict in MySQL; a void is a rejection.
const (
	none uint8 = iota
	confirmed
	rejected
	paid
	cancelled
)

// A sale.
const (
	open uint8 = iota
	paused
	ended
	closed
)

type (
	perOrder   = [maxOrders]uint8
	perShopper = [shoppers]uint8
)

// change is a row of sale_changes: the verdicts on orders, or an effect on the sale.
type change struct {
	to     perOrder
	ofSale uint8 // 0 or 1
	units  int8
	state  uint8
	back   perShopper // the count of those whose orders it ends; 0: it says nothing
}

type mysql struct {
	total, avail int8
	state, seq   uint8
	row, slot    perOrder   // a dead letter counts as a row
	back         perShopper // orders returned, if the sale counts them
	log          [maxLog]change
}

type redis struct {
	loaded, state, applied  uint8
	marks                   uint8 // bit n-1: change n was applied ahead of the cursor
	total, avail, pend, set int8
	ent, slot               perOrder
	back                    perShopper // as far as Redis knows
	load                    [2]uint8   // by loader: the orders in its load key
}

// worker is a process of the consumer role between MySQL and Redis.
type worker struct {
	seq  uint8    // the change it committed and holds, 0 for none
	read perOrder // verdicts that it only read
	take uint8    // mutant only: order+1 acknowledged and not yet committed
}

// loader is a process that loads the sale: what its snapshot said.
type loader struct {
	busy, seq, state uint8
	live, added      uint8 // orders
	total            int8
	back             perShopper
}

type state struct {
	db   mysql
	r    redis
	snap redis // what Redis may come back with
	w    [2]worker
	b    [2]loader
	api  perOrder
	want perOrder // the slot that the message carries
	msg  perOrder // deliveries waiting in the broker
	mark perOrder // resolver: 1 + messages that the consumers have yet to pass; 0 not asked
	told perOrder // the final answer a poll has shown

	late, owed     uint8 // orders: their send may still arrive; answered with 202
	stored, excuse uint8 // orders: the broker had it and did not lose it; Redis lost it pending
	snapped, older uint8 // flags: snap is set; Redis has lost something
	byOperator     uint8 // orders that an operator cancelled
	forged         uint8 // orders: a message waits that no API signed
	left           budget
}

func bit(i int) uint8 { return 1 << i }

func live(row uint8) bool { return row == confirmed || row == paid }

func held(ent uint8) bool { return ent == pending || ent == settled }

func (r *redis) trimmable() bool { return r.marks>>r.applied == 0 }

// canon makes one state of those that differ in the names of equal workers, or
// in a past that nobody can see any more. It returns how many changes it forgot.
func (c *config) canon(s *state) (forgot uint8) {
	for i := range c.asks {
		b := bit(i)
		if s.db.row[i] != none {
			s.stored &^= b
			s.excuse &^= b
			s.mark[i] = 0
			if !c.polls {
				s.owed &^= b
			}
		}
		if s.msg[i] == 0 && s.late&b == 0 && s.api[i] != reserved {
			s.want[i] = 0
		}
	}
	if !c.unpolled {
		s.stored, s.excuse = 0, 0
	}
	if !c.polls {
		s.older = 0
	}
	forgot = s.rebase()
	if less(s.w[1], s.w[0]) {
		s.w[0], s.w[1] = s.w[1], s.w[0]
	}
	return forgot
}

// rebase forgets the changes that Redis, what it may come back with and every
// snapshot of a loader are past. Whoever still holds one can only replay it.
func (s *state) rebase() (base uint8) {
	base = s.db.seq
	past := func(is uint8, seq uint8) {
		if is != 0 {
			base = min(base, seq)
		}
	}
	past(s.r.loaded, s.r.applied)
	past(s.snapped&s.snap.loaded, s.snap.applied)
	past(s.r.marks, uint8(bits.TrailingZeros8(s.r.marks))) // one left behind stays visible
	for _, b := range s.b {
		past(b.busy, b.seq)
	}
	if base == 0 {
		return 0
	}
	for i := range s.w {
		w := &s.w[i]
		if w.seq == 0 || w.seq > base {
			w.seq -= min(base, w.seq)
			continue
		}
		for o, to := range s.db.log[w.seq-1].to {
			w.read[o] = max(w.read[o], to) // an order is in one of the two
		}
		w.seq = 0
	}
	copy(s.db.log[:], s.db.log[base:])
	clear(s.db.log[maxLog-base:])
	s.db.seq -= base
	for _, r := range []*redis{&s.r, &s.snap} {
		if r.loaded != 0 {
			r.applied -= base
			r.marks >>= base
		}
	}
	for i := range s.b {
		s.b[i].seq -= min(base, s.b[i].seq)
	}
	return base
}

func less(a, b worker) bool {
	if a.seq != b.seq {
		return a.seq < b.seq
	}
	if a.take != b.take {
		return a.take < b.take
	}
	return slices.Compare(a.read[:], b.read[:]) < 0
}
