package order

import (
	"errors"
	"sync/atomic"
	"time"
)

// ErrNodeIDRetired is the error of an IDMaker whose node ID another process will
// soon get: the counter has nearly used all 13 bits since.
var ErrNodeIDRetired = errors.New("order: node ID used up, restart the process")

// retireAfter is how far the counter of node IDs may be ahead of a process: 8,000
// of the 8,192 values of 13 bits.
const retireAfter = 8_000

// IDMaker makes order IDs that no other process makes, if each takes its node ID
// from the same counter. Time is the wall clock at the start plus the monotonic
// time since, so it never runs back. Safe for concurrent use.
type IDMaker struct {
	nodeID  int64
	started time.Time
	last    atomic.Int64 // the last tick used: milliseconds << sequenceBits | sequence
	retired atomic.Bool
}

// NewIDMaker returns an IDMaker for a node ID from the store's counter.
func NewIDMaker(nodeID int64) *IDMaker {
	return &IDMaker{nodeID: nodeID, started: time.Now()}
}

// NodeID returns the node ID given to NewIDMaker.
func (m *IDMaker) NodeID() int64 { return m.nodeID }

// Observe takes the current value of the counter. Once that is too far ahead of our
// node ID, or behind it because a restored or promoted server never had ours, it
// returns false and Next fails for good: the process needs a new one.
func (m *IDMaker) Observe(counter int64) (usable bool) {
	if counter < m.nodeID || counter-m.nodeID >= retireAfter {
		m.retired.Store(true)
	}
	return !m.retired.Load()
}

// Next returns a new ID, larger than all before. More than 512 in a millisecond
// take numbers of the next one. The error is ErrNodeIDRetired.
func (m *IDMaker) Next() (ID, error) {
	if m.retired.Load() {
		return 0, ErrNodeIDRetired
	}
	elapsed := time.Since(m.started) // monotonic
	now := (m.started.UnixMilli() + elapsed.Milliseconds() - epochMillis) << sequenceBits
	for {
		last := m.last.Load()
		tick := max(now, last+1)
		if m.last.CompareAndSwap(last, tick) {
			millis, sequence := tick>>sequenceBits, tick&(1<<sequenceBits-1)
			nodeID := m.nodeID & (1<<nodeBits - 1)
			return ID(millis<<timeShift | nodeID<<sequenceBits | sequence), nil
		}
	}
}
