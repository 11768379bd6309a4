package testenv

import (
	"strings"
	"sync"
)

// Logs collects log output for a test, from any number of goroutines.
type Logs struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write appends to what was logged.
func (l *Logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// String returns what was logged so far.
func (l *Logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
