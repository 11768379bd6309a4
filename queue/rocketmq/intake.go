package rocketmq

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	client "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"

	"seckill/internal/telemetry"
)

const (
	// pullSize is the size of a pull and of a delivery: the client splits pulls and never
	// merges them.
	pullSize = 256
	// pullEvery is the time between pulls of a queue. A pull that waits for the first
	// order still returns at once, so that a single order is not delayed; the orders
	// behind it come together. A process takes 256 orders of each of its queues each
	// time: 150,000 a second with eight.
	pullEvery = 10 * time.Millisecond
	// sendBackAfter is when the client sends an unfinished message back to the broker and
	// ignores the response. In practice, never.
	sendBackAfter = 24 * time.Hour
	// settle is the time that the client needs to process a handler's result, and to
	// finish pulls in progress when it is suspended: a pull that ends while it shuts down
	// may panic.
	settle = 100 * time.Millisecond
)

// intake is one client consumer. There is one at a time. It is replaced when its
// connection is lost, because the client would then deliver nothing for half a minute.
type intake struct {
	s      *Subscriber
	handle func(batch []Message) error
	client client.PushConsumer
	name   string // of the client
	opened time.Time

	closing chan struct{} // no more deliveries and no more retries
	closed  chan struct{} // results are ignored from here on
	mu      sync.Mutex    // between enter and close
	over    bool
	inside  sync.WaitGroup

	delivered atomic.Int64
	finished  atomic.Int64
	persisted int64 // finished at the last persist

	pmu      sync.Mutex
	assigned bool             // the broker counts us among its consumers
	own      []string         // queues that are ours, as keys of Offsets
	next     map[string]int64 // offset after the last delivered message of a queue
}

// open connects a new consumer, if the name servers know the topic.
func (s *Subscriber) open(ctx, hctx context.Context) (*intake, error) {
	if _, err := s.rpc.route(ctx, s.opts.NameServers, s.opts.Topic); err != nil {
		return nil, err
	}
	servers, err := s.gate.nameServers(s.opts.NameServers)
	if err != nil {
		return nil, err
	}
	in := &intake{
		s: s, handle: func(batch []Message) error { return s.handle(hctx, batch) }, name: instanceName(), opened: time.Now(),
		closing: make(chan struct{}), closed: make(chan struct{}), next: make(map[string]int64),
	}
	c, err := client.NewPushConsumer(
		consumer.WithNameServer(resolvers(servers)),
		consumer.WithGroupName(s.opts.Group),
		consumer.WithInstance(in.name),
		consumer.WithCredentials(primitive.Credentials{AccessKey: s.opts.AccessKey, SecretKey: s.opts.SecretKey}),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
		consumer.WithStrategy(in.allocate),
		consumer.WithPullBatchSize(pullSize),
		consumer.WithPullInterval(pullEvery),
		consumer.WithConsumeMessageBatchMaxSize(pullSize),
		consumer.WithConsumeGoroutineNums(s.sopts.Handlers),
		consumer.WithConsumeTimeout(sendBackAfter),
	)
	if err != nil {
		return nil, fmt.Errorf("new consumer: %w", err)
	}
	in.client = c
	if err := c.Subscribe(s.opts.Topic, consumer.MessageSelector{}, in.deliver); err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	if err := c.Start(); err != nil {
		in.shutDown()
		return nil, fmt.Errorf("start consumer: %w", err)
	}
	return in, nil
}

// allocate is the client's allocation, and records the result.
func (in *intake) allocate(group, self string, queues []*primitive.MessageQueue, all []string) []*primitive.MessageQueue {
	mine := consumer.AllocateByAveragely(group, self, queues, all)
	if len(queues) > 0 && queues[0].Topic == in.s.opts.Topic {
		own := make([]string, len(mine))
		for i, q := range mine {
			own[i] = queueKey(q.BrokerName, q.QueueId)
		}
		in.pmu.Lock()
		in.own, in.assigned = own, slices.Contains(all, self)
		in.pmu.Unlock()
	}
	return mine
}

// deliver is the client's callback. Success acknowledges. It returns nothing else while
// the client is running: the client's redelivery loses messages.
func (in *intake) deliver(ctx context.Context, msgs ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
	if len(msgs) == 0 || in.enter() && in.work(ctx, msgs) {
		return consumer.ConsumeSuccess, nil
	}
	<-in.closed
	return consumer.ConsumeRetryLater, nil // ignored: the queue is dropped
}

// enter admits a delivery unless the intake is closing.
func (in *intake) enter() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.over {
		in.inside.Add(1)
	}
	return !in.over
}

// work handles a delivery until it succeeds; false if the intake closed before.
func (in *intake) work(ctx context.Context, msgs []*primitive.MessageExt) bool {
	s := in.s
	s.active.Add(1)
	defer func() { s.active.Add(-1); in.inside.Done() }()
	in.note(msgs)
	batch := make([]Message, len(msgs))
	for i, m := range msgs {
		batch[i] = Message{ID: m.MsgId, Body: m.Body, Redelivered: m.ReconsumeTimes > 0, StoredAt: time.UnixMilli(m.StoreTimestamp)}
		if s.sopts.Traced {
			batch[i].Traceparent = m.GetProperty(telemetry.Traceparent)
		}
	}
	s.sopts.Observe("delivered", len(batch))
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-in.closing:
		return false
	}
	for wait := handleFirst; ; wait = min(2*wait, handleMax) {
		err := in.handle(batch)
		if err == nil {
			in.finished.Add(int64(len(batch)))
			s.sopts.Observe("handled", len(batch))
			return true
		}
		s.sopts.Observe("failed", len(batch))
		s.opts.Log.WarnContext(ctx, "delivery not handled", "messages", len(batch), "err", err)
		if !in.rest(wait/2 + rand.N(wait)) {
			return false
		}
	}
}

// rest waits for d; false if the intake is closing.
func (in *intake) rest(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-in.closing:
		return false
	}
}

// note records how far a queue was delivered.
func (in *intake) note(msgs []*primitive.MessageExt) {
	in.delivered.Add(int64(len(msgs)))
	last := msgs[len(msgs)-1]
	if last.Queue == nil || last.Queue.Topic != in.s.opts.Topic {
		return
	}
	key := queueKey(last.Queue.BrokerName, last.Queue.QueueId)
	in.pmu.Lock()
	defer in.pmu.Unlock()
	in.next[key] = max(in.next[key], last.QueueOffset+1)
}

// progress returns our queues with how far they were delivered (-1: nothing yet), and
// whether the broker lists us.
func (in *intake) progress() (own Offsets, assigned bool) {
	in.pmu.Lock()
	defer in.pmu.Unlock()
	own = make(Offsets, len(in.own))
	for _, key := range in.own {
		own[key] = -1
		if n, ok := in.next[key]; ok {
			own[key] = n
		}
	}
	return own, in.assigned
}

// persist commits our offsets to the broker. The client itself does so every five
// seconds, the first time after ten.
func (in *intake) persist() {
	done := in.finished.Load()
	if done == in.persisted {
		return
	}
	if c, ok := in.client.(interface{ PersistConsumerOffset() error }); ok && c.PersistConsumerOffset() == nil {
		in.persisted = done
	}
}

// close stops deliveries and waits for the handlers in progress. If they take longer than
// drain, it calls late. Then it shuts the client down. What a handler finishes after that
// will be delivered again.
func (in *intake) close(drain time.Duration, late func()) {
	in.mu.Lock()
	in.over = true
	in.mu.Unlock()
	close(in.closing)
	in.client.Suspend()
	done := make(chan struct{})
	go func() { in.inside.Wait(); close(done) }()
	if !within(done, drain) {
		late()
		within(done, settle)
	}
	within(nil, settle)
	in.persisted = -1
	in.persist()
	within(nil, settle/2) // so that the offsets are sent before the connection is closed
	in.shutDown()
	close(in.closed)
}

// within reports whether done closes before d has passed; a nil one never does.
func within(done <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

// shutDown shuts the client down, which panics for one that never started.
func (in *intake) shutDown() {
	defer func() {
		if v := recover(); v != nil {
			in.s.opts.Log.Error("client panicked in its shutdown", "panic", fmt.Sprint(v))
		}
	}()
	_ = in.client.Shutdown() // always nil
}
