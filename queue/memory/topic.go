package memory

import (
	"context"
	"sync"
	"time"

	"seckill/queue"
)

// Topic is the twin of the topic of events: it keeps the newest messages for
// whoever reads, and forgets the oldest, as a broker does with old ones. Safe
// for concurrent use.
type Topic struct {
	// Capacity is how many messages are kept; NewTopic sets 100,000. It may be set
	// before the topic is used.
	Capacity int

	mu    sync.Mutex
	first int64 // offset of held[0]
	held  []queue.Message
	more  chan struct{} // closed when a message arrives
}

// NewTopic returns an empty topic.
func NewTopic() *Topic { return &Topic{Capacity: defaultCapacity, more: make(chan struct{})} }

// Publish stores messages in their order; it fails when ctx is done.
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

// Read hands each message to handle, in order, from those that come now or from
// the oldest that is kept, until ctx is done, which is no error, or handle
// returns one.
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

// after returns what stands at and behind an offset.
func (t *Topic) after(at int64) (ms []queue.Message, next int64, more <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at = max(at, t.first)
	held := t.held[at-t.first:]
	ms = append(ms, held[:min(len(held), maxDelivery)]...)
	return ms, at + int64(len(ms)), t.more
}
