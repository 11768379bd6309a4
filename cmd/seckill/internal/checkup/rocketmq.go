package checkup

import (
	"context"
	"errors"
	"fmt"

	"seckill/queue/rocketmq"
)

// RocketMQ checks name servers and brokers, how they store messages, and the
// topics: orders checks those of orders and probes, events that of events; events
// is nil if no events are sent.
func RocketMQ(ctx context.Context, orders, events *rocketmq.Admin) []Finding {
	brokers, _, err := ask(ctx, orders.Brokers)
	if err != nil {
		return []Finding{down("rocketmq", err, explainRocketMQ(err))}
	}
	found := []Finding{well("rocketmq", "name server and brokers answer; master brokers: %d", len(brokers))}
	for _, b := range brokers {
		found = append(found, broker(b))
	}
	return append(found, topics(ctx, orders), eventTopic(ctx, events))
}

// The broker refuses writes above 90 % of its disk, whatever its settings.
const (
	diskWarn = .75
	diskFail = .85
)

func broker(b rocketmq.Broker) Finding {
	var found []Finding
	detail := fmt.Sprintf("%s, %s, %s, replicas: %d", b.Version, b.Flush, b.Role, b.Replicas)
	if b.Disk >= 0 {
		detail += fmt.Sprintf(", %.0f %% of its disk in use", b.Disk*100)
	}
	say := func(bad bool, level Level, text, advice string) {
		found = append(found, rule(bad, level, "", advice, "%s", text))
	}
	say(b.Disk >= diskFail, Fail, "its disk is nearly full", "free disk space: above 90 % it refuses messages, and every purchase is left to the sweeper")
	say(b.Disk >= diskWarn && b.Disk < diskFail, Warn, "its disk is filling up", "free disk space before the sale: above 90 % it refuses messages")
	say(b.Flush == "ASYNC_FLUSH", Warn, "it answers before its fsync",
		"set flushDiskType=SYNC_FLUSH to lose no messages in a crash of its host: lost orders are settled from Redis 30 s later, lost order events have to be sent again")
	say(b.Role == "SYNC_MASTER" && b.InSync == 1, Warn, "it is a SYNC_MASTER that waits for no replica",
		"set inSyncReplicas=2: with 1 it answers before a replica has the message, and order events lost with its host have to be sent again")
	say(b.AutoCreate, Warn, "it creates topics with misspelt names", "set autoCreateTopicEnable=false")
	say(b.CleanForcibly, Warn, "it deletes unread messages when its disk is nearly full",
		"set cleanFileForciblyEnable=false: then it refuses new messages, and shoppers get an answer")
	return several("broker "+b.Name, detail, found...)
}

func eventTopic(ctx context.Context, events *rocketmq.Admin) Finding {
	const name = "rocketmq event topic"
	if events == nil {
		return well(name, "not needed: SECKILL_EVENTS is false")
	}
	_, _, err := ask(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, events.Topics(ctx) })
	if err != nil {
		return failure(name, explainRocketMQ(err)+"; until then order events wait in MySQL", "%s", err)
	}
	return well(name, "it exists")
}

func topics(ctx context.Context, orders *rocketmq.Admin) Finding {
	const name = "rocketmq topics"
	lag, _, err := ask(ctx, func(ctx context.Context) (int64, error) {
		if err := orders.Topics(ctx); err != nil {
			return 0, err
		}
		return orders.Lag(ctx)
	})
	if err != nil {
		return failure(name, explainRocketMQ(err), "%s", err)
	}
	return well(name, "they exist; %d orders are waiting", lag)
}

// Queues compares the queues of the order topic with the number of consumers.
func Queues(ctx context.Context, orders *rocketmq.Admin, consumers int) Finding {
	const name = "rocketmq queues"
	n, _, err := ask(ctx, orders.Queues)
	if err != nil && !errors.Is(err, rocketmq.ErrNoTopic) {
		return failure(name, explainRocketMQ(err), "%s", err)
	}
	if n == 0 {
		return failure(name, topicAdvice, "no broker has the order topic")
	}
	return rule(n < consumers, Warn, name, "raise SECKILL_ROCKETMQ_QUEUES and run `seckill migrate up`, or stop some consumers",
		"%d queues for %d consumers: each queue is read by one", n, consumers)
}
