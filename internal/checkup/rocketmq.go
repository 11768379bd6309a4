package checkup

import (
	"context"
	"errors"
	"fmt"

	"seckill/queue/rocketmq"
)

// RocketMQ looks at name servers and brokers, at how they keep messages, and at
// the topics: that of orders and of probes by one Admin, and that of events by
// another, which is nil where none are sent.
func RocketMQ(ctx context.Context, orders, events *rocketmq.Admin) []Finding {
	brokers, _, err := ask(ctx, orders.Brokers)
	if err != nil {
		return []Finding{down("rocketmq", err, explainRocketMQ(err))}
	}
	found := []Finding{well("rocketmq", "name server and %d master broker answer", len(brokers))}
	for _, b := range brokers {
		found = append(found, broker(b))
	}
	return append(found, topics(ctx, orders), eventTopic(ctx, events))
}

// The broker refuses to write above 90 % of its disk, whatever it is set to.
const (
	diskWarn = .75
	diskFail = .85
)

func broker(b rocketmq.Broker) Finding {
	var found []Finding
	detail := fmt.Sprintf("%s, %s, %s, %d replica", b.Version, b.Flush, b.Role, b.Replicas)
	if b.Disk >= 0 {
		detail += fmt.Sprintf(", %.0f %% of its disk in use", b.Disk*100)
	}
	say := func(bad bool, level Level, text, advice string) {
		found = append(found, rule(bad, level, "", advice, "%s", text))
	}
	say(b.Disk >= diskFail, Fail, "its disk is nearly full", "make room: above 90 % it takes no message, and every purchase is left to the sweeper")
	say(b.Disk >= diskWarn && b.Disk < diskFail, Warn, "its disk fills", "make room before the sale: above 90 % it takes no message")
	say(b.Flush == "ASYNC_FLUSH", Warn, "it answers before its fsync",
		"flushDiskType=SYNC_FLUSH where a crash of its host shall cost nobody time: what it loses is settled from Redis 30 s later; order events have to be sent again")
	say(b.Role == "SYNC_MASTER" && b.InSync == 1, Warn, "it is a SYNC_MASTER that waits for no replica",
		"set inSyncReplicas=2: with 1 it answers before a replica has the message, and order events that die with its host have to be sent again")
	say(b.AutoCreate, Warn, "it makes topics that somebody misspelt", "set autoCreateTopicEnable=false")
	say(b.CleanForcibly, Warn, "it deletes unread messages when its disk is nearly full",
		"set cleanFileForciblyEnable=false: then it refuses new ones instead, which shoppers are told")
	return several("broker "+b.Name, detail, found...)
}

func eventTopic(ctx context.Context, events *rocketmq.Admin) Finding {
	const name = "rocketmq event topic"
	if events == nil {
		return well(name, "not wanted: SECKILL_EVENTS is false")
	}
	_, _, err := ask(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, events.Topics(ctx) })
	if err != nil {
		return failure(name, explainRocketMQ(err)+"; until then order events wait in MySQL", "%s", err)
	}
	return well(name, "it is there")
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
	return well(name, "they are there; %d orders wait", lag)
}

// Queues compares the queues of the orders' topic with those who take from them.
func Queues(ctx context.Context, orders *rocketmq.Admin, consumers int) Finding {
	const name = "rocketmq queues"
	n, _, err := ask(ctx, orders.Queues)
	if err != nil && !errors.Is(err, rocketmq.ErrNoTopic) {
		return failure(name, explainRocketMQ(err), "%s", err)
	}
	if n == 0 {
		return failure(name, "run `seckill migrate up`; where it has been run, the topic's broker is away", "no broker has the topic of orders")
	}
	return rule(n < consumers, Warn, name, "raise SECKILL_ROCKETMQ_QUEUES and run `seckill migrate up`, or stop some consumers",
		"%d queues for %d consumers: each queue is read by one", n, consumers)
}
