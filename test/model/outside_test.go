package model_test

import "slices"

// Shoppers, the API, the broker, operators.

// request is the API's share of an order: T1, the send, the answer.
func (m *moves) request(i int) {
	s, left, r := m.s, &m.s.left, m.s.r
	switch s.api[i] {
	case idle:
		before := func(j int) bool { return j < i && m.sameShopper(i, j) && s.api[j] == idle }
		if r.loaded == 0 || s.db.state == closed || i > 0 && before(i-1) {
			return // a shopper's requests come in order, and none an hour after the end
		}
		done, named := m.reserve(&r, i)
		switch {
		case done:
			to := func(api uint8) func(t *state) {
				return func(t *state) { t.r, t.want[i], t.api[i] = r, r.slot[i], api }
			}
			m.move(false, "request %d: reserved", i, to(reserved))
			m.spend(&left.lostAnswer, "request %d: reserved, the answer of Redis is lost", i, to(unknown))
		case named >= 0:
			m.move(false, "request %d: its key names an order, 202", i, func(t *state) { t.api[i] = answered; t.owed |= bit(named) })
		}
	case unknown:
		m.move(true, "request %d: 503", i, func(t *state) { t.api[i] = answered })
		if m.repeat && r.loaded == 1 {
			if done, _ := m.reserve(&r, i); done {
				m.move(false, "request %d: reserved again, same ID", i, func(t *state) { t.r, t.want[i], t.api[i] = r, r.slot[i], reserved })
			}
		}
	case reserved:
		m.send(i)
	}
}

func (m *moves) send(i int) {
	left, b := &m.s.left, bit(i)
	m.move(true, "send of order %d stored, 202", i, func(t *state) {
		t.api[i] = answered
		t.msg[i]++
		t.owed |= b
		t.stored |= b
	})
	timeout := func(late uint8) func(t *state) {
		return func(t *state) {
			t.api[i] = answered
			t.late |= late
			t.owed |= b
			if m.is(givesBackOnTimeout) {
				t.owed &^= b
				m.affect(t, i, rejected, false)
			}
		}
	}
	m.spend(&left.notStored, "send of order %d unknown and not stored, 202", i, timeout(0))
	m.spend(&left.lateSend, "send of order %d unknown and on its way, 202", i, timeout(b))
	m.spend(&left.apiCrash, "the API crashes before it sends order %d", i, func(t *state) { t.api[i] = answered })
}

func (m *moves) broker(i int) {
	s, b := m.s, bit(i)
	if s.late&b != 0 {
		m.move(false, "the late message of order %d arrives", i, func(t *state) {
			t.late &^= b
			t.msg[i]++
			t.stored |= b
		})
	}
	if s.forged&b == 0 {
		m.spend(&s.left.forged, "a stranger writes a message of order %d", i, func(t *state) { t.forged |= b })
	}
	if s.msg[i] > 0 {
		m.spend(&s.left.brokerLoss, "the broker loses the message of order %d", i, func(t *state) {
			acknowledge(t, i)
			t.stored &^= b
		})
	}
}

const voids = "a poll voids order"

// resolver is api/orderstatus.go and reconcile/resolver.go: a poll of an order that
// is not pending in Redis.
func (m *moves) resolver(i int) {
	s, row := m.s, m.s.db.row[i]
	if s.owed&bit(i) == 0 || m.unpolled || s.r.loaded == 1 && s.r.ent[i] == pending {
		return
	}
	if row != none {
		if m.polls && s.told[i] != row {
			m.move(false, "a poll of order %d shows its verdict", i, func(t *state) { t.told[i] = row })
		}
		return
	}
	comes := s.r.loaded == 0 && (s.db.state < ended || m.is(voidsNeverUnloaded))
	// T_max: older than any send takes, by whoever's answer it is polled.
	if s.api[i] < answered || comes || m.is(voidsNoCollision) && m.ownerOfID(&s.db, i) >= 0 {
		return
	}
	switch {
	case s.mark[i] == 0:
		m.move(true, "a poll misses order %d and notes the end of the queue", i, func(t *state) { t.mark[i] = 1 + t.msg[i] })
	case s.mark[i] == 1 || m.is(voidsUnpassed):
		void := func(t *state) (seq uint8) {
			if m.polls {
				t.told[i] = rejected
			}
			if m.is(voidsWithoutTombstone) {
				t.mark[i] = 0
				t.owed &^= bit(i)
				return 0
			}
			return m.void(&t.db, i)
		}
		m.move(true, voids+" %d", i, func(t *state) { void(t) })
		if m.push && freeWorker(s) >= 0 {
			m.move(true, voids+" %d, to be written back", i, func(t *state) { hold(t, void(t)) })
		}
	}
}

// payment is T7, and a dead entry that others push out.
func (m *moves) payment(i int) {
	s := m.s
	if s.db.row[i] == confirmed {
		m.command(&s.left.cancel, "cancel order %d", i, func(t *state) uint8 {
			return m.cancel(t, i, false)
		})
		m.command(&s.left.opCancel, "an operator cancels order %d", i, func(t *state) uint8 {
			return m.cancel(t, i, true)
		})
		if s.left.unknownCommit > 0 {
			m.spend(&s.left.cancel, "cancel order %d, COMMIT unknown (it was in), run again", i, func(t *state) {
				t.left.unknownCommit--
				m.cancel(t, i, false)
				if m.is(cancelCountsAgain) {
					t.db.back[m.asks[i].shopper]++
				}
			})
		}
		m.command(&s.left.pay, "pay order %d", i, func(t *state) uint8 {
			t.db.row[i] = paid
			return t.db.commitOrder(i)
		})
	}
	if dead := s.r.ent[i] == refused || s.r.ent[i] == dropped; dead && (s.r.trimmable() || m.is(trimsWhileMarked)) {
		m.spend(&s.left.trim, "the dead entry of order %d is trimmed", i, func(t *state) { t.r.ent[i] = absent })
	}
}

func (m *moves) commands() {
	s, left := m.s, &m.s.left
	add := func(t *state) uint8 {
		t.db.total++
		t.db.avail++
		return t.db.commit(change{ofSale: 1, units: 1, state: t.db.state})
	}
	set := func(to uint8) func(t *state) uint8 {
		return func(t *state) uint8 {
			t.db.state = to
			return t.db.commit(change{ofSale: 1, state: to})
		}
	}
	if s.db.state < ended {
		m.command(&left.restock, "restock one unit", 0, add)
		m.spend(&left.end, "the sale ends", 0, func(t *state) { set(ended)(t) })
		if left.unknownCommit > 0 {
			m.spend(&left.restock, "restock one unit, COMMIT unknown (it was in), run again", 0, func(t *state) {
				t.left.unknownCommit--
				add(t)
				if m.is(noCommandID) {
					add(t)
				}
			})
		}
	}
	switch {
	case s.db.state == open:
		m.command(&left.pause, "pause the sale", 0, set(paused))
	case s.db.state == paused:
		m.command(&left.pause, "resume the sale", 0, set(open))
	case s.db.state == ended && !slices.Contains(s.db.row[:], confirmed):
		m.janitor(set(closed))
	}
}

// janitor is reconcile/janitor.go: an hour after its end a sale leaves Redis,
// then it is closed. By then no Redis comes back that old.
func (m *moves) janitor(shut func(t *state) uint8) {
	s := m.s
	switch {
	case s.r.loaded == 0:
		m.spend(&s.left.unload, "the janitor closes the sale", 0, func(t *state) { shut(t) })
	case s.r.pend == 0:
		m.spend(&s.left.unload, "the janitor unloads the sale", 0, func(t *state) {
			t.r = redis{load: t.r.load}
			if t.snap.pend > 0 {
				t.snap, t.snapped = redis{}, 0
			}
		})
	}
}
