package model_test

import (
	"fmt"
	"strings"
)

// unsafe names what is wrong in any single state, "" if nothing.
func (c *config) unsafe(s *state) string {
	if msg := c.unsafeMySQL(s); msg != "" {
		return msg
	}
	for i := range c.asks {
		row, told := s.db.row[i], s.told[i]
		if told != none && row != none && row != told && (told != confirmed || row == rejected) {
			return fmt.Sprintf("ANSWER: order %d was told another verdict", i)
		}
		if told != none && s.older == 0 && s.r.ent[i] == pending {
			return fmt.Sprintf("ANSWER: order %d is pending again and Redis has lost nothing", i)
		}
	}
	if s.r.loaded == 0 {
		return ""
	}
	return c.unsafeRedis(s)
}

func (c *config) unsafeMySQL(s *state) string {
	d := &s.db
	var units int8
	var slots [maxOrders]uint8
	for i, a := range c.asks {
		if d.row[i] != none && s.api[i] == idle {
			return fmt.Sprintf("FORGED: order %d has a verdict, and nobody asked for it", i)
		}
		if !live(d.row[i]) {
			continue
		}
		units += a.units
		if slots[a.shopper]&bit(int(d.slot[i])) != 0 || d.slot[i] >= c.limit {
			return "PURCHASE LIMIT: two live orders in one slot"
		}
		slots[a.shopper] |= bit(int(d.slot[i]))
		for j := range i {
			if live(d.row[j]) && c.sameShopper(i, j) && c.asks[j].key == a.key {
				return "PURCHASE LIMIT: one key has bought twice"
			}
		}
	}
	for who, n := range d.back {
		if c.attempts > 0 && n != c.returned(s, who) {
			return fmt.Sprintf("ATTEMPTS: MySQL has counted %d of shopper %d, who has returned %d", n, who, c.returned(s, who))
		}
	}
	switch {
	case d.avail < 0 || units > d.total:
		return "OVERSOLD"
	case d.avail+units != d.total:
		return fmt.Sprintf("MYSQL: available %d + live %d is not the total %d", d.avail, units, d.total)
	case d.total != c.total+int8(c.left.restock-s.left.restock):
		return "RESTOCK: a command took effect twice"
	}
	return ""
}

// returned is how many orders of the shopper were cancelled, by other than operators.
func (c *config) returned(s *state, who int) (n uint8) {
	for i, a := range c.asks {
		if int(a.shopper) == who && s.db.row[i] == cancelled && s.byOperator&bit(i) == 0 {
			n++
		}
	}
	return n
}

func (c *config) unsafeRedis(s *state) string {
	r := &s.r
	var pend, set int8
	for i, a := range c.asks {
		row := s.db.row[i]
		switch r.ent[i] {
		case pending:
			pend += a.units
		case settled:
			set += a.units
		}
		if r.ent[i] == refused && row != rejected || r.ent[i] == dropped && row != cancelled || r.ent[i] == settled && !live(row) && row != cancelled {
			return fmt.Sprintf("REDIS contradicts the verdict of order %d", i)
		}
	}
	for who, n := range r.back {
		if n > c.returned(s, who) {
			return fmt.Sprintf("ATTEMPTS: Redis has counted %d of shopper %d, who has returned %d", n, who, c.returned(s, who))
		}
	}
	switch {
	case r.avail+r.pend+r.set != r.total || r.pend != pend || r.set != set:
		return fmt.Sprintf("REDIS: available %d + pending %d + settled %d, total %d; its entries hold %d and %d", r.avail, r.pend, r.set, r.total, pend, set)
	case r.applied > s.db.seq:
		return "CURSOR beyond the log"
	case r.marks&(1<<r.applied-1) != 0:
		return "MARK left behind the cursor"
	case r.marks&(1<<r.applied) != 0:
		return "CURSOR stands before a mark"
	}
	return ""
}

// wrongStep names what is wrong with a step.
func (c *config) wrongStep(s *state, a act, t *state) string {
	if i := a.a; strings.HasPrefix(a.text, voids) && s.msg[i] > 0 && c.left.lateSend == 0 {
		return fmt.Sprintf("VOID of order %d, whose message the broker holds", i)
	}
	for i := range c.asks {
		if s.api[i] == idle && t.api[i] != idle && t.r.ent[i] == pending {
			for j := range c.asks {
				names := held(s.r.ent[j]) || c.asks[i].key != 0 && s.r.ent[j] != absent
				if j != i && names && c.sameShopper(i, j) && c.asks[j].key == c.asks[i].key {
					return fmt.Sprintf("KEY: request %d names order %d and made another", i, j)
				}
			}
		}
		a, b := s.db.row[i], t.db.row[i]
		if n := c.returned(s, int(c.asks[i].shopper)); a != confirmed && a != paid && live(b) && c.usedUp(n) {
			return fmt.Sprintf("ATTEMPTS: order %d is confirmed, and its shopper had returned %d", i, n)
		}
		if a != b && a != none && (a != confirmed || b != paid && b != cancelled) {
			return fmt.Sprintf("VERDICT of order %d changed", i)
		}
	}
	return ""
}

// unsettled names what is wrong where nothing happens by itself any more.
func (c *config) unsettled(s *state) string {
	d, r := &s.db, &s.r
	for i := range c.asks {
		excused := c.unpolled && s.stored&bit(i) == 0 && s.excuse&bit(i) != 0
		if s.owed&bit(i) != 0 && d.row[i] == none && !excused {
			return fmt.Sprintf("LOST: order %d was answered 202 and has no verdict", i)
		}
	}
	switch {
	case r.loaded == 0 && d.state >= ended:
		return ""
	case r.loaded == 0:
		return "NOT LOADED for ever"
	}
	for i := range c.asks {
		switch {
		case r.ent[i] == pending:
			return fmt.Sprintf("PENDING for ever: order %d", i)
		case d.state == closed: // what a Redis that came back still has of it is read by nobody
		case (r.ent[i] == settled) != live(d.row[i]):
			return fmt.Sprintf("LEAK: order %d is live in one store only", i)
		case live(d.row[i]) && r.slot[i] != d.slot[i]:
			return fmt.Sprintf("SLOT: order %d has slot %d in Redis, %d in MySQL", i, r.slot[i], d.slot[i])
		}
	}
	switch {
	case d.state == closed:
	case r.back != d.back:
		return fmt.Sprintf("ATTEMPTS: Redis has counted %d, MySQL %d", r.back, d.back)
	case r.applied != d.seq:
		return fmt.Sprintf("CURSOR at %d of %d for ever", r.applied, d.seq)
	case r.state != d.state:
		return "STATE of the sale differs"
	case r.total != d.total || r.avail != d.avail:
		return fmt.Sprintf("LEAK: Redis has %d of %d, MySQL %d of %d", r.avail, r.total, d.avail, d.total)
	}
	return ""
}
