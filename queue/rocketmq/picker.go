package rocketmq

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// avoidFor is how long a broker that could not be reached is not used, if there is
// another one.
const avoidFor = 2 * time.Second

// stay is how long batches go to one queue before the next queue is used. A queue's
// consumer pulls whenever it hears of something new. If each batch went to another one
// of eight queues, a pull would rarely return more than one batch, and each pull costs
// the broker and the consumer as much as 20 orders.
const stay = 10 * time.Millisecond

// warmUp marks a message that is only there to make the client look up its topic's route.
const warmUp = -1

// picker chooses the queue of each batch: each queue for a while, in turn. It sets the
// message's Queue, which the client does not use, to the queue that it chose. A message
// with a Queue goes to that one or nowhere.
type picker struct {
	began time.Time
	first uint64 // so that different processes use different queues

	mu    sync.Mutex
	avoid map[string]time.Time // broker: until when
}

func newPicker() *picker {
	return &picker{began: time.Now(), first: rand.Uint64(), avoid: make(map[string]time.Time)}
}

// Select implements the client's QueueSelector. After nil the client sends nothing and
// returns an error.
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

// shun avoids a broker for a while.
func (p *picker) shun(broker string) {
	if broker == "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.avoid[broker] = time.Now().Add(avoidFor)
}
