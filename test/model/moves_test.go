package model_test

import "slices"

// act names a move in a trace: %d stands for an order, a worker or a loader.
type act struct {
	text string
	a, b int8
}

// moves hands every successor of s to out. A fair move happens by itself
// sooner or later; the others are faults and the outside world.
type moves struct {
	*config
	s   *state
	out func(a act, fair bool, t state)
}

func (m *moves) move(fair bool, text string, i int, do func(t *state)) {
	t := *m.s
	do(&t)
	m.out(act{text: text, a: int8(i)}, fair, t)
}

// spend is an unfair move that takes one from a budget of m.s.
func (m *moves) spend(left *uint8, text string, i int, do func(t *state)) {
	if *left > 0 {
		*left--
		m.move(false, text, i, do)
		*left++
	}
}

func (m *moves) all() {
	for i := range m.asks {
		m.request(i)
		m.broker(i)
		m.resolver(i)
		m.payment(i)
	}
	for w := range m.s.w {
		m.worker(w)
	}
	m.tail()
	m.commands()
	m.redis()
	for b := range m.s.b {
		m.loader(b)
	}
}

func freeWorker(s *state) int { return slices.Index(s.w[:], worker{}) }

// hold lets a free worker, if there is one, hold the change that was just
// committed; without one it is left to the tail.
func hold(t *state, seq uint8) {
	if w := freeWorker(t); w >= 0 {
		t.w[w].seq = seq
	}
}

// command spends a transaction whose write-back is left to the tail or, with
// push, held by its process.
func (m *moves) command(left *uint8, text string, i int, do func(t *state) (seq uint8)) {
	m.spend(left, text, i, func(t *state) { do(t) })
	if m.push && freeWorker(m.s) >= 0 {
		m.spend(left, text+", to be written back", i, func(t *state) { hold(t, do(t)) })
	}
}

func (m *moves) worker(w int) {
	s, me := m.s, m.s.w[w]
	switch {
	case me.take > 0:
		i := int(me.take - 1)
		m.move(true, "commit order %d", i, func(t *state) { m.settleBy(t, w, t.want, i) })
		m.spend(&s.left.lostWriteBack, "crash before committing order %d", i, func(t *state) { t.w[w] = worker{} })
	case me != worker{}:
		m.move(true, "worker %d writes back", w, func(t *state) { m.writeBack(t, &t.w[w]) })
		m.spend(&s.left.lostWriteBack, "worker %d crashes before its write-back", w, func(t *state) { t.w[w] = worker{} })
	case w == freeWorker(s):
		for i := range m.asks {
			m.deliver(w, i)
			m.refuse(w, i)
			m.sweep(w, i)
		}
	}
}

// writeBack is Pool.writeBack: the own change, then what was only read.
func (m *moves) writeBack(t *state, w *worker) {
	if w.seq > 0 {
		m.apply(t, w.seq, t.db.log[w.seq-1])
		w.seq = 0
		return
	}
	m.apply(t, 0, change{to: w.read})
	w.read = perOrder{}
}

func (m *moves) settleBy(t *state, w int, slots perOrder, batch ...int) {
	seq, read := m.settle(&t.db, slots, batch...)
	t.w[w] = worker{seq: seq, read: read}
}

// acknowledge: the consumers have passed a message of order i.
func acknowledge(t *state, i int) {
	t.msg[i]--
	if t.mark[i] > 1 {
		t.mark[i]--
	}
}

func (m *moves) deliver(w, i int) {
	s := m.s
	if s.msg[i] == 0 {
		return
	}
	if m.is(acknowledgesFirst) {
		m.move(true, "acknowledge order %d", i, func(t *state) { acknowledge(t, i); t.w[w].take = uint8(i + 1) })
		return
	}
	m.move(true, "settle order %d", i, func(t *state) { acknowledge(t, i); m.settleBy(t, w, t.want, i) })
	m.spend(&s.left.dup, "settle order %d, the message comes again", i, func(t *state) { m.settleBy(t, w, t.want, i) })
	if s.db.row[i] == none {
		m.spend(&s.left.unknownCommit, "settle order %d, COMMIT unknown (it was in), run again", i, func(t *state) {
			acknowledge(t, i)
			m.settle(&t.db, t.want, i)
			if m.is(sameAttempt) && t.db.row[i] == confirmed {
				t.db.avail -= m.asks[i].units
			}
			m.settleBy(t, w, t.want, i)
		})
	}
	for j := i + 1; m.batches && j < len(m.asks); j++ {
		if s.msg[j] == 0 {
			continue
		}
		t := *s
		acknowledge(&t, i)
		acknowledge(&t, j)
		if m.is(dedupesByID) && m.sameID(i, j) {
			m.settleBy(&t, w, t.want, i)
		} else {
			m.settleBy(&t, w, t.want, i, j)
		}
		m.out(act{"settle orders %d and %d", int8(i), int8(j)}, true, t)
	}
}

// refuse is Receiver.refuse: what no API signed is acknowledged and changes nothing.
func (m *moves) refuse(w, i int) {
	switch {
	case m.s.forged&bit(i) == 0:
	case m.is(noMAC):
		m.move(true, "settle order %d of a stranger", i, func(t *state) { t.forged &^= bit(i); m.settleBy(t, w, t.want, i) })
	default:
		m.move(true, "refuse order %d of a stranger", i, func(t *state) { t.forged &^= bit(i) })
	}
}

// sweep: what is pending is settled from its entry, or its verdict replayed.
// The auditor replays the verdict on what stays wrong.
func (m *moves) sweep(w, i int) {
	s := m.s
	switch {
	case s.r.loaded == 0 || s.db.state == closed:
	case s.r.ent[i] == pending && !m.is(noSweeper):
		m.move(true, "sweep order %d", i, func(t *state) { m.settleBy(t, w, t.r.slot, i) })
	case m.auditor && !m.is(noAuditor) && s.r.ent[i] == settled && !live(s.db.row[i]) && s.r.applied == s.db.seq:
		m.move(true, "audit order %d", i, func(t *state) { t.w[w].read[i] = t.db.row[i] })
	}
}

// tail applies the change after the cursor. A slow one has read changes and
// applies them only later.
func (m *moves) tail() {
	s := m.s
	if s.r.loaded == 0 || s.db.state == closed { // which no process lists any more
		return
	}
	if s.r.applied < s.db.seq && !m.is(noTail) {
		m.move(true, "the tail applies the next change", 0, func(t *state) {
			m.apply(t, t.r.applied+1, t.db.log[t.r.applied])
		})
	}
	for seq := s.r.applied + 1; seq <= s.db.seq && freeWorker(s) >= 0; seq++ {
		m.spend(&s.left.slowTail, "a slow tail has read change %d ahead", int(seq-s.r.applied), func(t *state) { hold(t, seq) })
	}
}
