package rocketmq

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"seckill/internal/loop"
)

// Admin creates topics and reads offsets. Safe for concurrent use.
type Admin struct {
	opts Options
	rpc  *caller

	mu    sync.Mutex
	known []shard // the last route of the topic; nil before the first
}

// NewAdmin checks the options. It connects at the first request.
// The error is ErrOptions.
func NewAdmin(opts Options) (*Admin, error) {
	opts, err := opts.checked()
	if err != nil {
		return nil, err
	}
	return &Admin{opts: opts, rpc: newCaller(opts)}, nil
}

// Close closes the connections.
func (a *Admin) Close() { a.rpc.close() }

// ensureTimeout bounds EnsureTopics: a broker that has just started needs some seconds
// to register and for its first responses.
const ensureTimeout = 15 * time.Second

// ErrNoBroker is the error of name servers that respond and know no broker: the broker
// is down, or registers elsewhere.
var ErrNoBroker = errors.New("rocketmq: the name servers know no broker")

// EnsureTopics creates the orders' topic with so many queues on every master broker
// that does not have it, and the probe topic with one, and waits until the name servers
// know them. An existing topic keeps its queues, or gets more. It creates the consumer
// groups as well, see ErrNoGroup. It takes 15 seconds at most.
func (a *Admin) EnsureTopics(ctx context.Context, queues int) error {
	ctx, cancel := context.WithTimeout(ctx, ensureTimeout)
	defer cancel()
	for {
		err := a.ensureAll(ctx, queues)
		if err == nil || !timedOut(err) && !errors.Is(err, ErrNoBroker) {
			return err
		}
		if loop.Pause(ctx, 50*time.Millisecond) != nil {
			return err
		}
	}
}

func (a *Admin) ensureAll(ctx context.Context, queues int) error {
	masters, err := a.rpc.masters(ctx, a.opts.NameServers)
	if err != nil {
		return err
	}
	if len(masters) == 0 {
		return ErrNoBroker
	}
	if err := a.ensure(ctx, masters, a.opts.Topic, queues); err != nil {
		return err
	}
	if err := a.ensure(ctx, masters, a.opts.ProbeTopic, 1); err != nil {
		return err
	}
	return a.ensureGroups(ctx, masters)
}

func (a *Admin) ensure(ctx context.Context, masters map[string]string, topic string, queues int) error {
	shards, err := a.rpc.route(ctx, a.opts.NameServers, topic)
	if err != nil && !errors.Is(err, ErrNoTopic) {
		return err
	}
	made := make(map[string]int, len(shards))
	for _, s := range shards {
		made[s.Broker] = s.Queues
	}
	n := strconv.Itoa(queues)
	for name, addr := range masters {
		if made[name] >= queues {
			continue
		}
		_, err := a.rpc.call(ctx, addr, codeUpdateTopic, map[string]string{
			"topic": topic, "defaultTopic": "TBW102", "readQueueNums": n, "writeQueueNums": n,
			"perm": "6", "topicFilterType": "SINGLE_TAG", "topicSysFlag": "0", "order": "false",
		})
		if err != nil {
			return fmt.Errorf("make topic %s: %w", topic, err)
		}
	}
	return a.await(ctx, topic, len(masters))
}

// await waits until the name servers know so many brokers of topic.
func (a *Admin) await(ctx context.Context, topic string, brokers int) error {
	for {
		shards, err := a.rpc.route(ctx, a.opts.NameServers, topic)
		if err == nil && len(shards) >= brokers {
			return nil
		}
		if loop.Pause(ctx, 20*time.Millisecond) != nil {
			return fmt.Errorf("wait for topic %s: %w", topic, errors.Join(ctx.Err(), err))
		}
	}
}

// route returns the route of the topic, or the last known one while no name server
// responds.
func (a *Admin) route(ctx context.Context) ([]shard, error) {
	shards, err := a.rpc.route(ctx, a.opts.NameServers, a.opts.Topic)
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err == nil:
		a.known = shards
	case a.known == nil:
		return nil, err
	}
	return a.known, nil
}

// MaxOffsets returns the offset of the next message of each queue. The broker indexes a
// stored message some milliseconds later, and counts it here only then.
func (a *Admin) MaxOffsets(ctx context.Context) (Offsets, error) {
	return a.offsets(ctx, a.maxOffset)
}

// Committed returns the group's offset in each queue: everything before it is handled.
// A new group is at the oldest message.
func (a *Admin) Committed(ctx context.Context) (Offsets, error) {
	if a.opts.Group == "" {
		return nil, fmt.Errorf("%w: no group", ErrOptions)
	}
	return a.offsets(ctx, a.committed)
}

// Lag returns how many messages the group has not handled. Consumers commit once a
// second, so it is up to a second old.
func (a *Admin) Lag(ctx context.Context) (int64, error) {
	at, err := a.Committed(ctx)
	if err != nil {
		return 0, err
	}
	end, err := a.MaxOffsets(ctx)
	if err != nil {
		return 0, err
	}
	return at.Behind(end), nil
}

// Ping returns nil if a name server and every master broker respond, even without any
// topic.
func (a *Admin) Ping(ctx context.Context) error {
	masters, err := a.rpc.masters(ctx, a.opts.NameServers)
	if err != nil {
		return err
	}
	if len(masters) == 0 {
		return ErrNoBroker
	}
	var errs []error
	for _, addr := range masters {
		_, err := a.rpc.call(ctx, addr, codeRuntimeInfo, nil)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Topics returns nil if the topics of orders and of probes have a route.
func (a *Admin) Topics(ctx context.Context) error {
	var errs []error
	for _, topic := range []string{a.opts.Topic, a.opts.ProbeTopic} {
		if _, err := a.rpc.route(ctx, a.opts.NameServers, topic); err != nil {
			errs = append(errs, fmt.Errorf("topic %s: %w", topic, err))
		}
	}
	return errors.Join(errs...)
}

func (a *Admin) offsets(ctx context.Context, one func(ctx context.Context, addr, queue string) (int64, error)) (Offsets, error) {
	shards, err := a.route(ctx)
	if err != nil {
		return nil, err
	}
	all := make(Offsets)
	for _, s := range shards {
		for q := range s.Queues {
			queue := strconv.Itoa(q)
			n, err := one(ctx, s.Addr, queue)
			if err != nil {
				return nil, fmt.Errorf("offset of queue %s of %s: %w", queue, s.Broker, err)
			}
			all[queueKey(s.Broker, q)] = n
		}
	}
	return all, nil
}

// queueKey is the key of Offsets.
func queueKey(broker string, queue int) string { return broker + "/" + strconv.Itoa(queue) }

func (a *Admin) maxOffset(ctx context.Context, addr, queue string) (int64, error) {
	return a.offset(ctx, addr, codeMaxOffset, map[string]string{"topic": a.opts.Topic, "queueId": queue})
}

func (a *Admin) committed(ctx context.Context, addr, queue string) (int64, error) {
	n, err := a.offset(ctx, addr, codeQueryCommitted, map[string]string{
		"topic": a.opts.Topic, "queueId": queue, "consumerGroup": a.opts.Group, "setZeroIfNotFound": "false",
	})
	if answered(err, answerNoOffset) {
		return a.offset(ctx, addr, codeMinOffset, map[string]string{"topic": a.opts.Topic, "queueId": queue})
	}
	return n, err
}

func (a *Admin) offset(ctx context.Context, addr string, code int, ext map[string]string) (int64, error) {
	ans, err := a.rpc.call(ctx, addr, code, ext)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(ans.ext["offset"], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("rocketmq: malformed offset: %w", err)
	}
	return n, nil
}
