package rocketmq

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"seckill/internal/loop"
	"seckill/order"
	"seckill/queue"
)

const (
	eventBatch      = 256       // messages per batch; a broker accepts 4 MiB
	eventBatchBytes = 256 << 10 // more only if one message is larger
	eventSenders    = 2         // queues written to at a time
)

// EventPublisher sends order events. Events of one order go to one queue, in their
// order. Safe for concurrent use.
type EventPublisher struct {
	topic  string
	link   *link
	stop   context.CancelFunc
	linked sync.WaitGroup
}

// NewEventPublisher starts a publisher to Options.Topic, even if the broker is down. The
// error is ErrOptions. The caller must Close it.
func NewEventPublisher(opts Options) (*EventPublisher, error) {
	opts, err := opts.checked()
	if err != nil {
		return nil, err
	}
	setUpClient(opts.Log)
	ctx, cancel := context.WithCancel(context.Background())
	p := &EventPublisher{topic: opts.Topic, link: newLink(opts), stop: cancel}
	p.linked.Go(func() { p.link.run(ctx) })
	return p, nil
}

// Publish returns nil if every message is stored. After ErrNotStored or ErrUnknown any
// of them may be stored, but none of an order without the previous ones. Publish waits
// some seconds for a queue that cannot be written to. It never takes another one, which
// would break the order.
func (p *EventPublisher) Publish(ctx context.Context, ms []queue.EventMessage) error {
	c := p.link.cur.Load()
	if c == nil {
		return fmt.Errorf("%w: %w", ErrNotStored, p.link.notConnected())
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	shares := share(ms, c.queues())
	next := make(chan eventShare, len(shares))
	for _, s := range shares {
		next <- s
	}
	close(next)
	var wg sync.WaitGroup
	errs := make([]error, eventSenders)
	for i := range errs {
		wg.Go(func() {
			for s := range next {
				if errs[i] = p.sendShare(ctx, s); errs[i] != nil {
					cancel() // the page will be sent again
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Close disconnects. Publish must not be called after it.
func (p *EventPublisher) Close(ctx context.Context) error {
	p.stop()
	p.linked.Wait()
	p.link.close(ctx)
	return nil
}

// place is one queue of a topic.
type place struct {
	broker string
	queue  int
}

// queues returns all queues that can be written to, in the same order in every process.
func (c *connection) queues() (all []place) {
	for _, s := range c.route {
		for q := range s.Queues {
			all = append(all, place{s.Broker, q})
		}
	}
	return all
}

// eventShare are the messages for one queue.
type eventShare struct {
	place

	messages []queue.EventMessage
}

// share groups messages by the queue of their orders.
func share(ms []queue.EventMessage, queues []place) []eventShare {
	shares := make([]eventShare, len(queues))
	for i, q := range queues {
		shares[i].place = q
	}
	for _, m := range ms {
		s := &shares[queueOf(m.OrderID, len(queues))]
		s.messages = append(s.messages, m)
	}
	return shares
}

// queueOf hashes the ID: its low bits are a sequence within a millisecond, mostly 0.
func queueOf(id order.ID, queues int) int {
	const golden = 0x9e3779b97f4a7c15
	return int((uint64(id) * golden >> 32) % uint64(queues))
}

// sendShare sends one batch after another.
func (p *EventPublisher) sendShare(ctx context.Context, s eventShare) error {
	var batch []byte
	n := 0
	for i, m := range s.messages {
		batch = appendEvent(batch, m)
		if n++; n < eventBatch && len(batch) < eventBatchBytes && i+1 < len(s.messages) {
			continue
		}
		if err := p.sendBatch(ctx, s.place, batch); err != nil {
			return err
		}
		batch, n = nil, 0 // the client may still use it
	}
	return nil
}

// sendBatch tries until the batch is stored, can surely not be stored, or its time is
// over.
func (p *EventPublisher) sendBatch(ctx context.Context, at place, batch []byte) error {
	ctx, cancel := context.WithTimeout(ctx, batchBudget)
	defer cancel()
	end, _ := ctx.Deadline()
	doubt := false
	for wait := retryFirst; ; wait = min(2*wait, retryMax) {
		o, err := p.link.tryAt(ctx, p.topic, at, batch)
		doubt = doubt || o == unclear
		if o == stored || o == refused {
			return sum(o == stored, doubt, err)
		}
		wait := wait/2 + rand.N(wait)
		if time.Until(end) < wait+minTry || loop.Pause(ctx, wait) != nil {
			return sum(false, doubt, err)
		}
	}
}
