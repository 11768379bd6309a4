package model_test

import (
	"hash/maphash"
	"slices"
	"time"
)

// mostStates of a configuration: more is a mistake in the table.
const mostStates = 25_000_000

// result of an exploration. trace leads to the violation by a shortest way.
type result struct {
	states, steps, ends int
	took                time.Duration
	bad                 string
	trace               []act
}

// explorer goes breadth first. It knows a state by its 64-bit hash: that a
// different one is taken for it among a million has a chance of 1 in 10^7.
type explorer struct {
	c      *config
	seed   maphash.Seed
	index  map[uint64]int32
	parent []int32
	by     []act
	res    result
	// fair steps, as edges: those of state i end at fairTo[fairAt[i]:fairAt[i+1]]
	fairTo, fairAt []int32
}

func (c *config) initial() state {
	s := state{left: c.left}
	s.db.total, s.db.avail = c.total, c.total
	s.r = redis{loaded: 1, total: c.total, avail: c.total}
	return s
}

// explore visits every reachable state, or ends with the first violation.
func (c *config) explore() result {
	start := time.Now()
	e := &explorer{c: c, seed: maphash.MakeSeed(), index: map[uint64]int32{}, fairAt: []int32{0}}
	e.run()
	e.res.took = time.Since(start)
	e.res.states = len(e.parent)
	return e.res
}

func (e *explorer) run() {
	s0 := e.c.initial()
	level, next := []state{s0}, []state(nil)
	e.add(&s0, -1, act{})
	at := int32(0) // states are numbered in the order in which they are visited
	for len(level) > 0 {
		for i := range level {
			if next = e.visit(&level[i], at, next); e.res.bad != "" {
				return
			}
			at++
		}
		level, next = next, level[:0]
	}
	if e.cyclic() {
		e.res.bad = "NEVER ENDS: what happens by itself can go on for ever"
	}
}

// add numbers a state; fresh tells whether it is a new one.
func (e *explorer) add(s *state, from int32, a act) (n int32, fresh bool) {
	h := maphash.Comparable(e.seed, *s)
	if n, ok := e.index[h]; ok {
		return n, false
	}
	n = int32(len(e.parent))
	e.index[h] = n
	e.parent = append(e.parent, from)
	e.by = append(e.by, a)
	return n, true
}

// visit adds the successors of s, state number at, to next.
func (e *explorer) visit(s *state, at int32, next []state) []state {
	fairs := 0
	m := moves{e.c, s, func(a act, fair bool, t state) {
		if e.res.bad != "" {
			return
		}
		e.res.steps++
		e.c.canon(&t)
		if msg := e.c.wrongStep(s, a, &t); msg != "" {
			e.fail(msg, at, a)
			return
		}
		n, fresh := e.add(&t, at, a)
		if fair {
			fairs++
			e.fairTo = append(e.fairTo, n)
		}
		if !fresh {
			return
		}
		next = append(next, t)
		if msg := e.c.unsafe(&t); msg != "" {
			e.fail(msg, n)
		}
	}}
	m.all()
	e.fairAt = append(e.fairAt, int32(len(e.fairTo)))
	if fairs == 0 {
		e.res.ends++
		if msg := e.c.unsettled(s); msg != "" && e.res.bad == "" {
			e.fail(msg, at)
		}
	}
	if len(e.parent) > mostStates {
		e.fail("TOO LARGE: give it less", at)
	}
	return next
}

func (e *explorer) fail(msg string, at int32, then ...act) {
	slices.Reverse(then)
	for i := at; i > 0; i = e.parent[i] {
		then = append(then, e.by[i])
	}
	slices.Reverse(then)
	e.res.bad, e.res.trace = msg, then
}

// cyclic reports whether the fair steps could go on for ever. If not, every
// run ends in a state that unsettled has seen.
func (e *explorer) cyclic() bool {
	in := make([]int32, len(e.parent))
	for _, to := range e.fairTo {
		in[to]++
	}
	var ready []int32
	for i, n := range in {
		if n == 0 {
			ready = append(ready, int32(i))
		}
	}
	done := 0
	for ; len(ready) > 0; done++ {
		i := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		for _, to := range e.fairTo[e.fairAt[i]:e.fairAt[i+1]] {
			if in[to]--; in[to] == 0 {
				ready = append(ready, to)
			}
		}
	}
	return done < len(in)
}
