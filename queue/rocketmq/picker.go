package rocketmq

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// avoidFor is how long a broker that could not be reached is passed over, as
// long as there is another.
const avoidFor = 2 * time.Second

// stay is how long batches go to one queue before the next one has its turn. The
// consumer of a queue pulls as often as it is told of something new; when each
// batch goes to another of eight queues, hardly a pull brings more than one
// batch, and each costs the broker and the consumer as much as 20 orders.
const stay = 10 * time.Millisecond

// warmUp marks a message that only makes the client look up its topic's route.
const warmUp = -1

// picker chooses the queue of each batch, each for a while and in turn, and
// tells the sender what it chose through the message's Queue, which the client
// leaves alone. A message that names its queue there goes to that one or nowhere.
type picker struct {
	began time.Time
	first uint64 // so that the processes of a fleet are at different queues

	mu    sync.Mutex
	avoid map[string]time.Time // broker: until when
}

func newPicker() *picker {
	return &picker{began: time.Now(), first: rand.Uint64(), avoid: make(map[string]time.Time)}
}

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
	n := int((p.first + uint64(time.Since(p.began)/stay)) % uint64(len(queues)))
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
