// Package memory is the order queue and the topic of order events in memory, for
// development and tests. It passes the same suite as RocketMQ. Nothing outlives the
// process.
package memory

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"seckill/order"
	"seckill/queue"
)

// Queue is a topic with one consumer group: bounded, at least once, in batches to several
// handlers at a time. The next subscriber gets again what was not acknowledged. Safe for
// concurrent use.
type Queue struct {
	// Capacity is the maximum number of unacknowledged messages; NewQueue sets 100,000.
	// It may be set before the queue is used.
	Capacity int

	mu    sync.Mutex
	first int64 // offset of held[0]: everything before is acknowledged
	held  []entry
	next  int           // index in held of the first message not delivered to the current subscriber
	more  chan struct{} // closed when a message arrives
}

type entry struct {
	msg   queue.Message
	acked bool
}

// queueKey is the one queue's name in Offsets.
const queueKey = "memory/0"

const (
	defaultCapacity = 100_000
	maxDelivery     = 256
)

// NewQueue returns an empty queue.
func NewQueue() *Queue {
	return &Queue{Capacity: defaultCapacity, more: make(chan struct{})}
}

// Publish stores an order. The error is queue.ErrNotStored, if the queue is full or ctx
// is done.
func (q *Queue) Publish(ctx context.Context, o order.Order) error {
	return q.PublishMessage(ctx, queue.Message{ID: o.ID.String(), Body: order.AppendMessage(nil, o)})
}

// PublishBody stores a message with any body.
func (q *Queue) PublishBody(ctx context.Context, id string, body []byte) error {
	return q.PublishMessage(ctx, queue.Message{ID: id, Body: body})
}

// PublishMessage stores a message with any fields.
func (q *Queue) PublishMessage(ctx context.Context, m queue.Message) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", queue.ErrNotStored, err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.held) >= q.Capacity {
		return fmt.Errorf("%w: %d messages held", queue.ErrNotStored, len(q.held))
	}
	m.StoredAt = time.Now()
	q.held = append(q.held, entry{msg: m})
	close(q.more)
	q.more = make(chan struct{})
	return nil
}

// Probe always succeeds.
func (q *Queue) Probe(context.Context) error { return nil }

// Ping always succeeds.
func (q *Queue) Ping(context.Context) error { return nil }

// MaxOffsets returns the offset of the next message.
func (q *Queue) MaxOffsets(context.Context) (queue.Offsets, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return queue.Offsets{queueKey: q.first + int64(len(q.held))}, nil
}

// Committed returns the offset of the first message that is not acknowledged.
func (q *Queue) Committed(context.Context) (queue.Offsets, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return queue.Offsets{queueKey: q.first}, nil
}

// Lag returns the number of messages that are not acknowledged.
func (q *Queue) Lag(context.Context) (int64, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return int64(len(q.held)), nil
}

// rewind makes everything unacknowledged deliverable again.
func (q *Queue) rewind() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.next {
		q.held[i].msg.Redelivered = true
	}
	q.next = 0
}

// take returns the next messages to deliver and the offset of the first one, and a
// channel that is closed when there are more.
func (q *Queue) take() (batch []queue.Message, at int64, wait <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.next < len(q.held) && q.held[q.next].acked {
		q.next++
	}
	at = q.first + int64(q.next)
	for q.next < len(q.held) && len(batch) < maxDelivery && !q.held[q.next].acked {
		batch = append(batch, q.held[q.next].msg)
		q.next++
	}
	return batch, at, q.more
}

// ack acknowledges n messages from offset at, and drops what is acknowledged at the front
// of the queue.
func (q *Queue) ack(at int64, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range n {
		if j := at + int64(i) - q.first; j >= 0 {
			q.held[j].acked = true
		}
	}
	done := 0
	for done < len(q.held) && q.held[done].acked {
		q.held[done] = entry{} // its body is no longer needed
		done++
	}
	q.held = q.held[done:]
	q.first += int64(done)
	q.next = max(0, q.next-done)
}

// Subscription delivers a queue's messages to a handler. One runs at a time, like the
// only consumer of a group.
type Subscription struct {
	q      *Queue
	handle func(context.Context, []queue.Message) error
	// Handlers is how many handlers run at once; Subscribe sets 8. DrainTimeout is how
	// long Run waits for them in the end; Subscribe sets 10 s.
	Handlers     int
	DrainTimeout time.Duration
}

// Subscribe returns a subscription; its Run delivers. After an error or a panic, handle
// is called again with the same messages, with backoff.
func (q *Queue) Subscribe(handle func(ctx context.Context, batch []queue.Message) error) *Subscription {
	return &Subscription{q: q, handle: handle, Handlers: 8, DrainTimeout: 10 * time.Second}
}

// Run delivers until ctx is done, then waits up to DrainTimeout for the handlers in
// progress, and returns nil.
func (s *Subscription) Run(ctx context.Context) error {
	s.q.rewind()
	hctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var handlers sync.WaitGroup
	for range s.Handlers {
		handlers.Go(func() { s.deliver(ctx, hctx) })
	}
	<-ctx.Done()
	late := time.AfterFunc(s.DrainTimeout, cancel)
	defer late.Stop()
	handlers.Wait()
	return nil
}

// deliver handles one delivery after another.
func (s *Subscription) deliver(ctx, hctx context.Context) {
	for ctx.Err() == nil {
		batch, at, more := s.q.take()
		if len(batch) == 0 {
			select {
			case <-more:
			case <-ctx.Done():
			}
			continue
		}
		if s.work(ctx, hctx, batch) {
			s.q.ack(at, len(batch))
		}
	}
}

// work handles one delivery until it succeeds; false if ctx was done before.
func (s *Subscription) work(ctx, hctx context.Context, batch []queue.Message) bool {
	const first, most = 20 * time.Millisecond, 2 * time.Second
	for wait := first; ; wait = min(2*wait, most) {
		if s.try(hctx, batch) == nil {
			return true
		}
		t := time.NewTimer(wait/2 + rand.N(wait))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return false
		}
	}
}

func (s *Subscription) try(ctx context.Context, batch []queue.Message) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("memory: handler panicked: %v", v)
		}
	}()
	return s.handle(ctx, batch)
}
