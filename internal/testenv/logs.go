package testenv

import (
	"strings"
	"sync"
)

// Logs collects log output for a test.
type Logs struct {
	mu sync.Mutex
	strings.Builder
}

func (l *Logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Builder.Write(b)
}

// Text returns what was logged so far.
func (l *Logs) Text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.String()
}
