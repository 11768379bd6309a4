package model_test

// Redis coming and going, and who loads it.

func (m *moves) redis() {
	s := m.s
	if s.snapped == 0 {
		m.spend(&s.left.snapshot, "(Redis persists here)", 0, func(t *state) { t.snap, t.snapped = t.r, 1 })
	}
	become := func(t *state, r redis) {
		for i := range m.asks {
			if t.r.ent[i] == pending && r.ent[i] == absent {
				t.excuse |= bit(i)
			}
		}
		t.r, t.older = r, 1
	}
	if s.snapped == 1 && s.snap != s.r {
		m.move(false, "Redis comes back older", 0, func(t *state) { become(t, s.snap); t.snap, t.snapped = redis{}, 0 })
	}
	if s.r != (redis{}) {
		m.spend(&s.left.wipe, "Redis is wiped", 0, func(t *state) { become(t, redis{}) })
	}
}

// loader is reconcile/loader.go with stock/load.go.
func (m *moves) loader(b int) {
	s, me := m.s, m.s.b[b]
	if me.busy == 0 {
		begin := func(t *state) {
			d, l := &t.db, &t.b[b]
			*l = loader{busy: 1, seq: d.seq, state: d.state, total: d.total, back: d.back}
			for i := range m.asks {
				if live(d.row[i]) {
					l.live |= bit(i)
				}
			}
			t.r.load[b], t.snap.load[b] = 0, 0 // of another epoch
		}
		switch {
		case s.r.loaded == 1 || s.db.state >= ended:
		case s.b[1-b].busy == 1:
			m.spend(&s.left.secondLoader, "loader %d begins: no meta, a snapshot of MySQL", b, begin)
		case b == 0:
			m.move(true, "loader %d begins: no meta, a snapshot of MySQL", b, begin)
		}
		return
	}
	page := me.live
	if rest := me.live &^ me.added; m.pages {
		page = rest & -rest
	}
	if me.added == me.live {
		m.move(true, "loader %d finishes", b, func(t *state) { m.finish(t, b) })
	} else {
		m.move(true, "loader %d writes a page", b, func(t *state) {
			t.b[b].added |= page
			t.r.load[b] |= page
			if t.r.load[b] != t.b[b].added && !m.is(countsNoLoad) { // a part is gone: again
				t.b[b], t.r.load[b] = loader{}, 0
			}
		})
	}
	m.spend(&s.left.loaderCrash, "loader %d crashes", b, func(t *state) { t.b[b], t.r.load[b] = loader{}, 0 })
}
