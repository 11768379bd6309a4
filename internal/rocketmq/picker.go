package rocketmq

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// avoidFor is how long a broker that could not be reached is passed over, as
// long as there is another.
const avoidFor = 2 * time.Second

// warmUp marks a message that only makes the client look up its topic's route.
const warmUp = -1

// picker chooses the queue of each batch, round robin, and tells the sender
// what it chose through the message's Queue, which the client leaves alone. A
// message that names its queue there goes to that one or nowhere.
type picker struct {
	next atomic.Uint32

	mu    sync.Mutex
	avoid map[string]time.Time // broker: until when
}

func newPicker() *picker { return &picker{avoid: make(map[string]time.Time)} }

// Select implements the client's QueueSelector. Nil makes the client refuse
// the message before it sends anything.
func (p *picker) Select(m *primitive.Message, queues []*primitive.MessageQueue, _ string) *primitive.MessageQueue {
	if len(queues) == 0 {
		return nil
	}
	if m.Queue.QueueId == warmUp {
		m.Queue.Topic = m.Topic // the route is known
		return nil
	}
	if m.Queue.BrokerName != "" {
		return named(m.Queue, queues)
	}
	n := int(p.next.Add(1) % uint32(len(queues)))
	q := queues[n]
	for i := range queues {
		if c := queues[(n+i)%len(queues)]; !p.avoided(c.BrokerName) {
			q = c
			break
		}
	}
	*m.Queue = *q
	return q
}

func named(want *primitive.MessageQueue, queues []*primitive.MessageQueue) *primitive.MessageQueue {
	for _, q := range queues {
		if q.BrokerName == want.BrokerName && q.QueueId == want.QueueId {
			return q
		}
	}
	return nil
}

func (p *picker) avoided(broker string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	until, ok := p.avoid[broker]
	if ok && time.Now().After(until) {
		delete(p.avoid, broker)
		return false
	}
	return ok
}

// shun passes over a broker for a while.
func (p *picker) shun(broker string) {
	if broker == "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.avoid[broker] = time.Now().Add(avoidFor)
}
