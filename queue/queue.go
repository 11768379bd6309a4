// Package queue is the contract of the order queue: the message, the offsets, and
// the outcome of a send. An outcome is stored, surely not stored, or unknown; it is
// never guessed. A delivery is acknowledged only after it was handled, and may come
// more than once, late, and in any order.
package queue

import (
	"errors"
	"time"
)

// Outcomes of publishing an order other than success. Every queue returns nil, or wraps
// ErrNotStored or ErrUnknown.
var (
	// ErrNotStored: the queue surely does not have the message.
	ErrNotStored = errors.New("queue: message not stored")
	// ErrUnknown: the queue may have the message, and it stays unknown.
	ErrUnknown = errors.New("queue: message stored or not, unknown")
)

// Message is what a queue delivers: at least once, in any order, with any body.
type Message struct {
	ID   string // the order ID in decimal, when the sender was ours
	Body []byte // must not be changed
	// Redelivered is true if the queue knows that it delivered the message before; false
	// means nothing.
	Redelivered bool
	StoredAt    time.Time // by the queue's clock
	// Traceparent is the trace that the message belongs to (W3C); empty for none.
	Traceparent string
}

// Offsets are positions in the queues of a topic, by "broker/queue".
type Offsets map[string]int64

// Passed reports whether o has reached mark in every queue of mark.
func (o Offsets) Passed(mark Offsets) bool {
	for queue, at := range mark {
		if o[queue] < at {
			return false
		}
	}
	return true
}

// Behind returns the number of messages between o and mark.
func (o Offsets) Behind(mark Offsets) int64 {
	var n int64
	for queue, at := range mark {
		n += max(0, at-o[queue])
	}
	return n
}
