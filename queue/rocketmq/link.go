package rocketmq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"seckill/internal/loop"

	client "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

const (
	tryTimeout = time.Second
	// tryGrace is the time that the client gets to notice the end of a try. While it
	// waits for a lock, a dial or a name server, it ignores its context.
	tryGrace = 200 * time.Millisecond

	connectEvery = 500 * time.Millisecond // while there is no producer
	rebuildEvery = 2 * time.Second        // doubled up to rebuildMax while sends fail
	rebuildMax   = 30 * time.Second
	warmTimeout  = 3 * time.Second
	lingerOld    = 2 * time.Second // a replaced producer, for its tries in progress

	publishGroup = "SECKILL_PUBLISH" // of all producers; the broker does not know it
)

var (
	errNotConnected = errors.New("rocketmq: not connected yet")
	errStuck        = errors.New("rocketmq: the client does not return")
)

// link keeps a producer connected. The client's producer reconnects when the broker
// returns at the same address. link makes the first connection once the broker is up,
// and a new producer when the client's route is stale or empty, or when its connection
// is dead and it has not noticed.
type link struct {
	opts Options
	rpc  *caller
	gate *gateway
	pick *picker

	cur  atomic.Pointer[connection]
	why  atomic.Pointer[error] // the last connect failed
	wake chan struct{}         // something is wrong: check

	timeouts atomic.Int32 // tries in a row without a response
	wrong    atomic.Bool  // the current producer must be replaced
	calls    sync.WaitGroup
}

// connection is one producer and its route: the queues that can be written to, at least
// one.
type connection struct {
	client client.Producer
	route  []shard
}

func newLink(opts Options) *link {
	return &link{opts: opts, rpc: newCaller(opts), gate: newGateway(opts), pick: newPicker(), wake: make(chan struct{}, 1)}
}

// try sends one batch once, within tryTimeout and a little.
func (l *link) try(ctx context.Context, topic string, batch []byte) (outcome, error) {
	return l.send(ctx, batchMessage(topic, batch))
}

// tryAt is try to one queue, and no other.
func (l *link) tryAt(ctx context.Context, topic string, at place, batch []byte) (outcome, error) {
	m := batchMessage(topic, batch)
	m.Queue.BrokerName, m.Queue.QueueId = at.broker, at.queue
	return l.send(ctx, m)
}

func (l *link) send(ctx context.Context, m *primitive.Message) (outcome, error) {
	c := l.cur.Load()
	if c == nil {
		return refused, l.notConnected()
	}
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	status, err := l.bounded(tryTimeout+tryGrace, func() (primitive.SendStatus, error) {
		res, err := c.client.SendSync(ctx, m)
		if err != nil {
			return primitive.SendUnknownError, err
		}
		return res.Status, nil
	})
	o := outcomeOf(status, err)
	l.learn(o, err, m)
	return o, err
}

// notConnected is the error of a send without a connection, with its cause.
func (l *link) notConnected() error {
	if why := l.why.Load(); why != nil {
		return fmt.Errorf("%w: %w", errNotConnected, *why)
	}
	return errNotConnected
}

// bounded runs a call of the client and stops waiting after limit, with errStuck. The
// call goes on until the client gives up.
func (l *link) bounded(limit time.Duration, call func() (primitive.SendStatus, error)) (primitive.SendStatus, error) {
	type result struct {
		status primitive.SendStatus
		err    error
	}
	done := make(chan result, 1)
	l.calls.Go(func() {
		defer func() {
			if v := recover(); v != nil {
				done <- result{primitive.SendUnknownError, fmt.Errorf("rocketmq: panic in the client: %v", v)}
			}
		}()
		status, err := call()
		done <- result{status, err}
	})
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case r := <-done:
		return r.status, r.err
	case <-t.C:
		return primitive.SendUnknownError, errStuck
	}
}

// learn updates the state of the connection after a try.
func (l *link) learn(o outcome, err error, m *primitive.Message) {
	if o == stored {
		l.timeouts.Store(0)
		return
	}
	switch {
	case errors.Is(err, errStuck), noRoute(err):
		l.wrong.Store(true)
	case o == unclear:
		l.timeouts.Add(1)
		l.pick.shun(m.Queue.BrokerName)
	case o == notStored:
		l.pick.shun(m.Queue.BrokerName)
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run connects, and keeps the connection until ctx is done.
func (l *link) run(ctx context.Context) {
	gap, logged := rebuildEvery, false
	for {
		err := l.connect(ctx)
		if err == nil {
			l.opts.Log.InfoContext(ctx, "producer connected", "topic", l.opts.Topic)
			logged = false
			if loop.Pause(ctx, gap) != nil || !l.watch(ctx) {
				return
			}
			gap = l.nextGap(gap)
			continue
		}
		l.why.Store(&err)
		if !logged {
			l.opts.Log.LogAttrs(ctx, slog.LevelWarn, "producer not connected", slog.Any("err", err))
			logged = true
		}
		if loop.Pause(ctx, connectEvery) != nil {
			return
		}
	}
}

// nextGap doubles the time between rebuilds that do not help.
func (l *link) nextGap(gap time.Duration) time.Duration {
	if l.timeouts.Swap(0) == 0 {
		return rebuildEvery
	}
	return min(2*gap, rebuildMax)
}

// watch waits until the producer must be replaced and can be; false if ctx is done.
func (l *link) watch(ctx context.Context) bool {
	for {
		if !l.wrong.Load() {
			select {
			case <-l.wake:
			case <-time.After(l.opts.refresh): // the topic may have more queues
			case <-ctx.Done():
				return false
			}
		}
		if l.stale(ctx) {
			return true
		}
		if loop.Pause(ctx, connectEvery) != nil {
			return false
		}
	}
}

// stale reports whether a new producer would work better than the current one.
func (l *link) stale(ctx context.Context) bool {
	route, err := l.rpc.writeRoute(ctx, l.opts.NameServers, l.opts.Topic)
	if err != nil {
		return false // there is no route for a new one
	}
	if l.wrong.Load() || !slices.Equal(route, l.cur.Load().route) {
		return true
	}
	// The broker responds to us but not to the client: its connection is dead.
	return l.timeouts.Load() >= 2 && l.answers(ctx, route)
}

// answers reports whether every broker of the route responds.
func (l *link) answers(ctx context.Context, route []shard) bool {
	for _, s := range route {
		_, err := l.rpc.call(ctx, s.Addr, codeMaxOffset, map[string]string{"topic": l.opts.Topic, "queueId": "0"})
		if err != nil {
			return false
		}
	}
	return true
}

// connect replaces the producer with a new one that knows the routes of both topics, so
// that no send has to ask a name server.
func (l *link) connect(ctx context.Context) error {
	route, err := l.rpc.writeRoute(ctx, l.opts.NameServers, l.opts.Topic)
	if err != nil {
		return err
	}
	if _, err := l.rpc.writeRoute(ctx, l.opts.NameServers, l.opts.ProbeTopic); err != nil {
		return err
	}
	servers, err := l.gate.nameServers(l.opts.NameServers)
	if err != nil {
		return err
	}
	c, err := l.opts.newProducer(servers, l.pick)
	if err != nil {
		return err
	}
	for _, topic := range []string{l.opts.Topic, l.opts.ProbeTopic} {
		if err := l.warm(ctx, c, topic); err != nil {
			_ = c.Shutdown() // always nil
			return err
		}
	}
	l.wrong.Store(false)
	if old := l.cur.Swap(&connection{c, route}); old != nil {
		l.calls.Go(func() {
			_ = loop.Pause(ctx, lingerOld)
			_ = old.client.Shutdown()
		})
	}
	return nil
}

func (o Options) newProducer(nameServers []string, pick *picker) (client.Producer, error) {
	c, err := client.NewProducer(
		producer.WithNameServer(resolvers(nameServers)),
		producer.WithGroupName(publishGroup),
		producer.WithInstanceName(instanceName()),
		producer.WithCredentials(primitive.Credentials{AccessKey: o.AccessKey, SecretKey: o.SecretKey}),
		producer.WithQueueSelector(pick),
		producer.WithRetry(0),
	)
	if err != nil {
		return nil, fmt.Errorf("new producer: %w", err)
	}
	if err := c.Start(); err != nil {
		return nil, fmt.Errorf("start producer: %w", err)
	}
	return c, nil
}

// warm makes the client look up a topic's route.
func (l *link) warm(ctx context.Context, c client.Producer, topic string) error {
	m := batchMessage(topic, nil)
	m.Queue.QueueId = warmUp
	_, err := l.bounded(warmTimeout, func() (primitive.SendStatus, error) {
		_, err := c.SendSync(ctx, m)
		return primitive.SendUnknownError, err
	})
	if errors.Is(err, errStuck) || m.Queue.Topic != topic {
		return fmt.Errorf("look up the route of %s: %w", topic, err)
	}
	return nil
}

// close ends the connection; try must not be called after it. It waits until ctx is done
// for calls in progress.
func (l *link) close(ctx context.Context) {
	if c := l.cur.Swap(nil); c != nil {
		_ = c.client.Shutdown()
	}
	l.rpc.close()
	l.gate.close()
	done := make(chan struct{})
	go func() { l.calls.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
}
