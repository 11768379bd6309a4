package rocketmq

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"seckill/internal/loop"
)

const (
	codeSend = 10

	answerBadQueue     = 29
	answerNotSupported = 3
)

// noQueue is a queue that no topic has. The broker checks a message for it as any other
// (signature, permissions, topic) and then refuses to store it.
const noQueue = math.MaxInt32

// arriveEvery is the time between looks for a message that was just stored.
const arriveEvery = 20 * time.Millisecond

// errNotDelivered is the error of a message that was stored and cannot be read.
var errNotDelivered = errors.New("rocketmq: the message that was just stored is not delivered")

// TrySend does what a send does on every broker, and leaves nothing in the topic: a
// consumer of an earlier version would take a strange message for damage. The topic
// itself gets a message that the broker checks and refuses. One is stored in the probe
// topic of each broker, whose messages nobody consumes and the broker deletes in time.
func (a *Admin) TrySend(ctx context.Context) error {
	_, err := a.trySend(ctx)
	return err
}

// TryReceive does what a consumer does on every broker, without joining the group: it
// reads the end of the topic for the group.
func (a *Admin) TryReceive(ctx context.Context) error {
	shards, err := a.rpc.route(ctx, a.opts.NameServers, a.opts.Topic)
	if err != nil {
		return err
	}
	for _, s := range shards {
		end, err := a.maxOffset(ctx, s.Addr, "0")
		if err != nil {
			return err
		}
		if _, _, err := a.pull(ctx, s.Addr, a.opts.Topic, 0, end); err != nil {
			return fmt.Errorf("read %s for %s: %w", a.opts.Topic, a.opts.Group, err)
		}
	}
	return nil
}

// TryBoth is TrySend and TryReceive, and reads the stored messages back for the group.
func (a *Admin) TryBoth(ctx context.Context) error {
	sent, err := a.trySend(ctx)
	if err != nil {
		return err
	}
	if err := a.TryReceive(ctx); err != nil {
		return err
	}
	for _, m := range sent {
		if err := a.arrives(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// storedProbe is a message in the probe topic.
type storedProbe struct {
	addr   string
	queue  int
	offset int64
	body   string
}

func (a *Admin) trySend(ctx context.Context) (sent []storedProbe, err error) {
	shards, err := a.rpc.writeRoute(ctx, a.opts.NameServers, a.opts.Topic)
	if err != nil {
		return nil, err
	}
	for _, s := range shards {
		_, err := a.sendTo(ctx, s.Addr, a.opts.Topic, noQueue, "-")
		if e, ok := errors.AsType[*answerError](err); !ok || e.code != answerBadQueue && !strings.Contains(e.remark, "request queueId[") {
			return nil, fmt.Errorf("send to %s: %w", a.opts.Topic, err)
		}
	}
	if shards, err = a.rpc.writeRoute(ctx, a.opts.NameServers, a.opts.ProbeTopic); err != nil {
		return nil, err
	}
	for _, s := range shards {
		m := storedProbe{addr: s.Addr, body: "probe " + rand.Text()}
		ans, err := a.sendTo(ctx, s.Addr, a.opts.ProbeTopic, m.queue, m.body)
		if err == nil {
			m.offset, err = strconv.ParseInt(ans.ext["queueOffset"], 10, 64)
		}
		if err != nil {
			return nil, fmt.Errorf("send to %s: %w", a.opts.ProbeTopic, err)
		}
		sent = append(sent, m)
	}
	return sent, nil
}

func (a *Admin) sendTo(ctx context.Context, addr, topic string, queue int, body string) (answer, error) {
	return a.rpc.callWith(ctx, addr, codeSend, map[string]string{
		"producerGroup": publishGroup, "topic": topic, "queueId": strconv.Itoa(queue),
		"defaultTopic": "TBW102", "defaultTopicQueueNums": "1", "sysFlag": "0", "flag": "0", "properties": "",
		"bornTimestamp": strconv.FormatInt(time.Now().UnixMilli(), 10), "reconsumeTimes": "0", "unitMode": "false", "batch": "false",
	}, []byte(body))
}

// arrives waits until a stored message can be read, which is some milliseconds later.
func (a *Admin) arrives(ctx context.Context, m storedProbe) error {
	for {
		found, _, err := a.pull(ctx, m.addr, a.opts.ProbeTopic, m.queue, m.offset)
		if err != nil {
			return fmt.Errorf("read %s for %s: %w", a.opts.ProbeTopic, a.opts.Group, err)
		}
		for _, got := range found {
			if string(got.Body) == m.body {
				return nil
			}
		}
		if loop.Pause(ctx, arriveEvery) != nil {
			return errNotDelivered
		}
	}
}
