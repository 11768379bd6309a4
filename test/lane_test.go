//go:build e2e

package test

import (
	"sync"
	"testing"
)

// A test that enters no lane runs alone, before the others: it measures times of
// less than seconds, or what a server does. All others wait for something most
// of their time, so they run side by side: some on the servers that everybody
// shares, and one on each set of servers that may be killed.
var (
	shared = newLane(1, 2, 3)
	own    = newLane(sets...)
)

// beside runs the test side by side with others and returns the settings of the
// shared servers.
func beside(t *testing.T) map[string]string {
	t.Helper()
	place := shared.queue(t)
	t.Parallel()
	place()
	return sharedServers(t)
}

// ownServers runs the test side by side with others and returns servers that it
// may kill.
func ownServers(t *testing.T) *servers {
	t.Helper()
	place := own.queue(t)
	t.Parallel()
	return place().start(t)
}

// lane is a number of places for tests. Tests get them in the order in which
// they ask: top-level tests ask in the order of the source.
type lane[T any] struct {
	free chan T
	mu   sync.Mutex
	last chan struct{} // closed when whoever asked last has a place
}

func newLane[T any](places ...T) *lane[T] {
	l := &lane[T]{free: make(chan T, len(places)), last: make(chan struct{})}
	close(l.last)
	for _, p := range places {
		l.free <- p
	}
	return l
}

// queue asks for a place and returns a func that waits for it. The place is free
// again when the test has ended.
func (l *lane[T]) queue(t *testing.T) func() T {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, mine := l.last, make(chan struct{})
	l.last = mine
	return func() T {
		<-before
		place := <-l.free
		close(mine)
		t.Cleanup(func() { l.free <- place })
		return place
	}
}
