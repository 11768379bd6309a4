package memory

import (
	"context"
	"sync"
	"time"

	"seckill/queue"
)

// Topic is a topic of events. Like a broker, it deletes the oldest messages. Safe for
// concurrent use.
type Topic struct {
	// Capacity is the maximum number of messages; NewTopic sets 100,000. It may be set
	// before the topic is used.
	Capacity int

	mu    sync.Mutex
	first int64 // offset of held[0]
	held  []queue.Message
	more  chan struct{} // closed when a message arrives
}

// NewTopic returns an empty topic.
func NewTopic() *Topic { return &Topic{Capacity: defaultCapacity, more: make(chan struct{})} }

// Publish stores messages in their order; it fails if ctx is done.
func (t *Topic) Publish(ctx context.Context, ms []queue.EventMessage) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range ms {
		t.held = append(t.held, queue.Message{ID: m.ID, Body: m.Body, StoredAt: time.Now()})
	}
	if over := len(t.held) - t.Capacity; over > 0 {
		clear(t.held[:over])
		t.held = t.held[over:]
		t.first += int64(over)
	}
	close(t.more)
	t.more = make(chan struct{})
	return nil
}

// Close does nothing.
func (t *Topic) Close(context.Context) error { return nil }

// Read passes each message to handle, in order, from now on or from the oldest one, until
// ctx is done, which is no error, or handle returns an error.
func (t *Topic) Read(ctx context.Context, fromStart bool, handle func([]queue.Message) error) error {
	t.mu.Lock()
	at := t.first
	if !fromStart {
		at += int64(len(t.held))
	}
	t.mu.Unlock()
	for {
		ms, next, more := t.after(at)
		if len(ms) > 0 {
			if err := handle(ms); err != nil {
				return err
			}
			at = next
			continue
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil
		}
	}
}

// after returns the messages from an offset on.
func (t *Topic) after(at int64) (ms []queue.Message, next int64, more <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at = max(at, t.first)
	held := t.held[at-t.first:]
	ms = append(ms, held[:min(len(held), maxDelivery)]...)
	return ms, at + int64(len(ms)), t.more
}
