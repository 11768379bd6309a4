package checkup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"seckill/fleet"
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
	return append(found, topics(ctx, orders), messages(ctx, orders), eventTopic(ctx, events))
}

// The broker refuses writes above 90 % of its disk, whatever its settings.
const (
	diskWarn = .75
	diskFail = .85
)

// Values of brokerPermission that forbid something.
const (
	permitWrite = 2
	permitRead  = 4
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
	say(b.Permission == permitRead || b.Permission == permitWrite, Warn, fmt.Sprintf("its brokerPermission is %d", b.Permission),
		"set brokerPermission=6, unless it is to be shut down: with 4 it takes no messages, with 2 it delivers none")
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
	_, _, err := ask(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, events.TrySend(ctx) })
	if err != nil {
		return failure(name, explainRocketMQ(err)+"; until then order events wait in MySQL", "%s", err)
	}
	return well(name, "it takes messages")
}

// messages sends a message and reads it for the consumers' group.
func messages(ctx context.Context, orders *rocketmq.Admin) Finding {
	const name = "rocketmq messages"
	_, took, err := ask(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, orders.TryBoth(ctx) })
	if err != nil {
		return failure(name, explainRocketMQ(err), "%s", err)
	}
	return well(name, "one was stored and read for the group in %s; the order topic takes them", took.Round(time.Millisecond))
}

// Group compares the members of the consumers' group, and what they subscribe to, with
// the running processes: a member that is none of them takes orders away from them.
func Group(ctx context.Context, orders *rocketmq.Admin, running []fleet.Instance) Finding {
	const name = "rocketmq group"
	g, _, err := ask(ctx, orders.Group)
	if err != nil {
		return failure(name, explainRocketMQ(err), "%s", err)
	}
	if foreign := Foreign(g, running); foreign != "" {
		return failure(name, foreignAdvice, "%s", foreign)
	}
	return well(name, "consumers connected: %d", len(g.Members))
}

const foreignAdvice = "give each deployment its own SECKILL_ROCKETMQ_GROUP, topics or SECKILL_ROCKETMQ_NAMESPACE: members share the queues, and what another program gets, this one does not. " +
	"A process that was lost with its host is listed for up to two minutes"

// Foreign describes the members and subscriptions of a group that do not belong to the
// running processes; empty for none. A consumer of an earlier version does not say
// which member it is.
func Foreign(g rocketmq.Group, running []fleet.Instance) string {
	silent := 0
	var unknown []string
	for _, i := range running {
		if i.Role == fleet.RoleConsumer && i.QueueClient == "" {
			silent++
		}
	}
	for _, m := range g.Members {
		if !slices.ContainsFunc(running, func(i fleet.Instance) bool { return i.QueueClient != "" && m.Is(i.QueueClient) }) {
			unknown = append(unknown, m.Client+" from "+m.Addr)
		}
	}
	var found []string
	if len(unknown) > silent {
		found = append(found, "members that are none of the running consumers: "+some(unknown))
	}
	if len(g.Foreign) > 0 {
		found = append(found, "subscriptions to something else: "+some(g.Foreign))
	}
	return strings.Join(found, "; ")
}

// some joins a few of many texts.
func some(all []string) string {
	const most = 5
	if len(all) > most {
		return strings.Join(all[:most], ", ") + fmt.Sprintf(" and %d more", len(all)-most)
	}
	return strings.Join(all, ", ")
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
