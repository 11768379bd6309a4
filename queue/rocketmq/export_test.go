package rocketmq

import (
	"bytes"
	"context"
	"strconv"
	"testing"
	"time"
)

// PublishBody publishes a message with any body.
func (p *Publisher) PublishBody(ctx context.Context, id string, body []byte) error {
	return p.publish(ctx, &pending{id: id, body: body, done: make(chan error, 1)})
}

// Connected reports whether p has a producer.
func (p *Publisher) Connected() bool { return p.link.cur.Load() != nil }

// BrokerAddr returns where the only broker of a's topic is.
func (a *Admin) BrokerAddr(ctx context.Context, tb testing.TB) string {
	tb.Helper()
	shards, err := a.route(ctx)
	if err != nil || len(shards) != 1 {
		tb.Fatalf("want one broker: %v, %v", shards, err)
	}
	return shards[0].Addr
}

// RefreshEvery has routes asked for so often.
func (o Options) RefreshEvery(d time.Duration) Options {
	o.refresh = d
	return o
}

// SetQueues gives a's topic so many queues to read and to write to on its brokers.
func (a *Admin) SetQueues(ctx context.Context, tb testing.TB, read, write int) {
	tb.Helper()
	shards, err := a.route(ctx)
	for _, s := range shards {
		if err == nil {
			_, err = a.rpc.call(ctx, s.Addr, codeUpdateTopic, map[string]string{
				"topic": a.opts.Topic, "defaultTopic": "TBW102", "readQueueNums": strconv.Itoa(read), "writeQueueNums": strconv.Itoa(write),
				"perm": "6", "topicFilterType": "SINGLE_TAG", "topicSysFlag": "0", "order": "false",
			})
		}
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// RemoveTopics takes the topics of a off their brokers and name servers. Nobody may send
// to them any more. The broker must have put into its queues what was sent: it writes to
// mapped files, and one that is removed meanwhile ends its JVM.
func (a *Admin) RemoveTopics(ctx context.Context) {
	shards, err := a.route(ctx)
	if err != nil {
		return
	}
	for _, s := range shards {
		for until := time.Now().Add(5 * time.Second); time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
			ans, err := a.rpc.call(ctx, s.Addr, codeRuntimeInfo, nil)
			if err == nil && bytes.Contains(ans.body, []byte(`"dispatchBehindBytes":"0"`)) {
				break
			}
		}
	}
	for _, topic := range []string{a.opts.Topic, a.opts.ProbeTopic, "%RETRY%" + a.opts.Group} {
		for _, s := range shards {
			_, _ = a.rpc.call(ctx, s.Addr, 215, map[string]string{"topic": topic})
		}
		for _, server := range a.opts.NameServers {
			_, _ = a.rpc.call(ctx, server, 216, map[string]string{"topic": topic})
		}
	}
}

// Connected reports whether there is a producer.
func (p *EventPublisher) Connected() bool { return p.link.cur.Load() != nil }
