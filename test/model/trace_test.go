package model_test

import (
	"fmt"
	"strconv"
	"strings"
)

func (a act) String() string {
	return fmt.Sprintf(a.text, []any{a.a, a.b}[:strings.Count(a.text, "%d")]...)
}

// explain goes the trace again and shows each move with the state after it.
func (c *config) explain(r result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", c.name, r.bad)
	for i, a := range c.asks {
		fmt.Fprintf(&b, "     order %d: shopper %d, key %d, %d unit(s)\n", i, a.shopper, a.key, a.units)
	}
	s, forgot := c.initial(), uint8(0)
	fmt.Fprintf(&b, "     %-58s %s\n", "", c.show(&s, forgot))
	for n, a := range r.trace {
		var to state
		m := moves{c, &s, func(by act, _ bool, t state) {
			if by == a {
				to = t
			}
		}}
		m.all()
		forgot += c.canon(&to)
		s = to
		fmt.Fprintf(&b, "%3d  %-58s %s\n", n+1, a, c.show(&s, forgot))
	}
	return b.String()
}

// show is a state in a line: MySQL with its verdicts and its last change;
// Redis with its entries (state@slot), cursor and marks; what is on its way.
// Numbers of changes count those forgotten.
func (c *config) show(s *state, forgot uint8) string {
	slot := func(k uint8) string {
		if k == noSlot {
			return "-"
		}
		return strconv.Itoa(int(k))
	}
	word := func(words string, of, at perOrder, has func(uint8) bool) string {
		var out []string
		for i := range c.asks {
			text := string(words[of[i]])
			if has(of[i]) {
				text += "@" + slot(at[i])
			}
			out = append(out, text)
		}
		return strings.Join(out, " ")
	}
	states := []string{"", " paused", " ended", " closed"}
	var line strings.Builder
	fmt.Fprintf(&line, "MySQL %d/%d%s [%s] #%d", s.db.avail, s.db.total, states[s.db.state], word("-crpx", s.db.row, s.db.slot, live), forgot+s.db.seq)
	if s.r.loaded == 0 {
		line.WriteString("  Redis empty")
	} else {
		fmt.Fprintf(&line, "  Redis %d+%d+%d/%d%s [%s] #%d", s.r.avail, s.r.pend, s.r.set, s.r.total, states[s.r.state],
			word("-PSRC", s.r.ent, s.r.slot, held), forgot+s.r.applied)
	}
	for n := range maxLog {
		if s.r.marks&bit(n) != 0 {
			fmt.Fprintf(&line, " e%d", int(forgot)+n+1)
		}
	}
	for i, n := range s.msg[:len(c.asks)] {
		if n > 0 {
			fmt.Fprintf(&line, "  queue %dx%d", n, i)
		}
	}
	for i, w := range s.w {
		if w.seq > 0 {
			fmt.Fprintf(&line, "  worker %d: #%d", i, forgot+w.seq)
		}
		if w.read != (perOrder{}) {
			fmt.Fprintf(&line, "  worker %d: read [%s]", i, word("-crpx", w.read, perOrder{}, func(uint8) bool { return false }))
		}
	}
	return line.String()
}
