package simulation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"seckill/order"
	"seckill/queue"
	"seckill/queue/memory"
)

// broker is the topic: some queues in memory, shared out among the
// consumers that are there.
type broker struct {
	w      *system
	queues []*memory.Queue

	mu       sync.Mutex
	members  []*Member // in the order of their coming
	changed  chan struct{}
	sent     uint64
	lastHeld time.Time // when the last message that was held back is there
}

func newBroker(w *system, queues int) *broker {
	b := &broker{w: w, changed: make(chan struct{})}
	for range queues {
		b.queues = append(b.queues, memory.NewQueue())
	}
	return b
}

// put stores a message, now or later, and some of its copies long after.
func (b *broker) put(ctx context.Context, id string, body []byte, copies int, held time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sent++
	r := rand.New(rand.NewPCG(b.w.plan.seed, b.sent))
	for i := range max(1, copies) {
		q := b.queues[r.IntN(len(b.queues))]
		store := func() { _ = q.PublishBody(context.WithoutCancel(ctx), id, body) } // it has room
		late := held
		if i > 0 && r.IntN(2) == 0 {
			late += seconds(r, 0, 10)
		}
		if late <= 0 {
			store()
			continue
		}
		time.AfterFunc(late, store)
		if at := time.Now().Add(late); at.After(b.lastHeld) {
			b.lastHeld = at
		}
	}
}

// offsets adds up what each queue says.
func (b *broker) offsets(ask func(*memory.Queue) (queue.Offsets, error)) (queue.Offsets, error) {
	all := queue.Offsets{}
	for i, q := range b.queues {
		o, err := ask(q)
		if err != nil {
			return nil, err
		}
		for _, at := range o {
			all[fmt.Sprint("broker/", i)] = at
		}
	}
	return all, nil
}

// waiting returns how many messages are not acknowledged.
func (b *broker) waiting(ctx context.Context) (n int64) {
	for _, q := range b.queues {
		lag, _ := q.Lag(ctx) // never fails
		n += lag
	}
	return n
}

// complete is when the last message that was held back has been delivered.
func (b *broker) complete() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lastHeld.Add(calm)
}

// join and leave share the queues out anew, a while later.
func (b *broker) join(m *Member) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.members = append(b.members, m)
	b.rebalance(0)
}

func (b *broker) leave(m *Member) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.members = slices.DeleteFunc(b.members, func(o *Member) bool { return o == m })
	b.rebalance(b.w.plan.relearn)
}

func (b *broker) rebalance(after time.Duration) {
	time.AfterFunc(after, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		close(b.changed)
		b.changed = make(chan struct{})
	})
}

// share returns the queues of m, and what closes when that has changed.
func (b *broker) share(m *Member) (mine []int, changed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := slices.Index(b.members, m)
	for i := range b.queues {
		if i%len(b.members) == at {
			mine = append(mine, i)
		}
	}
	return mine, b.changed
}

// Member is the broker as one process reaches it.
type Member struct {
	b *broker
	p *process
}

// Publish sends the message of an order. It is stored, surely not stored, or unknown.
func (m *Member) Publish(ctx context.Context, id order.ID, body []byte) error {
	var t trouble
	_, t.refused = m.p.strikes(sendRefused)
	_, t.lost = m.p.strikes(sendLost)
	_, t.gone = m.p.strikes(sendGone)
	if f, ok := m.p.strikes(sendSlow); ok {
		t.slow = f.delay
	}
	if f, ok := m.p.strikes(queueHeld); ok {
		t.held = f.delay
	}
	if f, ok := m.p.strikes(queueTwice); ok {
		t.copies = 1 + f.n
	}
	err := m.p.call(ctx, t, "send "+id.String(), func() error {
		if !t.gone {
			m.b.put(ctx, id.String(), body, t.copies, t.held)
		}
		return nil
	})
	switch {
	case err == nil && !t.gone:
		m.p.w.trace.notef(m.p.name, "sent %d (copies %d, held %s)", id, max(1, t.copies), t.held)
		return nil
	case t.refused:
		return fmt.Errorf("%w: %w", queue.ErrNotStored, errRefused)
	default:
		return fmt.Errorf("%w: %w", queue.ErrUnknown, errLost)
	}
}

// Probe fails while sends do.
func (m *Member) Probe(ctx context.Context) error {
	var t trouble
	_, t.refused = m.p.strikes(sendRefused)
	return m.p.call(ctx, t, "probe", func() error { return nil })
}

// MaxOffsets returns where the next messages will stand.
func (m *Member) MaxOffsets(ctx context.Context) (o queue.Offsets, err error) {
	err = m.p.call(ctx, trouble{}, "offsets", func() error {
		o, err = m.b.offsets(func(q *memory.Queue) (queue.Offsets, error) { return q.MaxOffsets(ctx) })
		return err
	})
	return o, err
}

// Committed returns how far the consumers have acknowledged.
func (m *Member) Committed(ctx context.Context) (o queue.Offsets, err error) {
	err = m.p.call(ctx, trouble{}, "offsets", func() error {
		o, err = m.b.offsets(func(q *memory.Queue) (queue.Offsets, error) { return q.Committed(ctx) })
		return err
	})
	return o, err
}

// Lag returns how many messages wait or are under way.
func (m *Member) Lag(ctx context.Context) (n int64, err error) {
	err = m.p.call(ctx, trouble{}, "lag", func() error { n = m.b.waiting(ctx); return nil })
	return n, err
}

// Consume delivers this member's share to handle until ctx is done, then
// drains.
func (m *Member) Consume(ctx context.Context, handle func(context.Context, []queue.Message) error, drain time.Duration) error {
	m.b.join(m)
	defer m.b.leave(m)
	var all sync.WaitGroup
	defer all.Wait()
	for ctx.Err() == nil {
		mine, changed := m.b.share(m)
		part, stop := context.WithCancel(ctx)
		for _, i := range mine {
			s := m.b.queues[i].Subscribe(func(ctx context.Context, ms []queue.Message) error { return m.deliver(ctx, i, ms, handle) })
			s.Handlers, s.DrainTimeout = 2, drain
			all.Go(func() { _ = s.Run(part) }) // never fails
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
		stop() // what is under way ends beside the next owner's
	}
	return nil
}

// deliver hands messages over, late where the queue is stalled; a handler's
// success may get lost.
func (m *Member) deliver(ctx context.Context, queue int, ms []queue.Message, handle func(context.Context, []queue.Message) error) error {
	var t trouble
	if f, ok := m.p.strikes(queueStalled); ok && queue == f.n%len(m.b.queues) {
		t.slow = f.delay
	}
	_, t.lost = m.p.strikes(ackLost)
	return m.p.call(ctx, t, fmt.Sprintf("delivery of %d", len(ms)), func() error { return handle(ctx, ms) })
}
