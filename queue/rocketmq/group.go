package rocketmq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

const (
	codeUpdateGroup = 200
	codeConnections = 203
	codeGroup       = 352

	answerNoGroup  = 26
	answerNoMember = 206
)

// ErrNoGroup is the error of a consumer group that a broker does not have and, with
// autoCreateSubscriptionGroup=false, does not create: it delivers nothing to it.
var ErrNoGroup = errors.New("rocketmq: the broker does not have the consumer group")

// Group is a consumer group as the brokers see it.
type Group struct {
	Members []Member // by client, without any while no consumer is connected
	// Foreign are subscriptions other than ours, like "topic expression": a member with
	// another one belongs to another program.
	Foreign []string
}

// Member is a connected consumer.
type Member struct {
	Client string // its address, an @, and its name, see Subscriber.Client
	Addr   string // where it connects from
}

// Is reports whether m is the consumer that calls itself name.
func (m Member) Is(name string) bool { return strings.HasSuffix(m.Client, "@"+name) }

// ensureGroups creates the groups on the brokers that do not have them: ours, and that of
// Readers. An existing one keeps its settings.
func (a *Admin) ensureGroups(ctx context.Context, masters map[string]string) error {
	for _, group := range []string{a.opts.Group, a.opts.named(readerGroup)} {
		if group == "" {
			continue // this topic is not consumed by us
		}
		body, err := json.Marshal(map[string]string{"groupName": group})
		if err != nil {
			return fmt.Errorf("make group %s: %w", group, err)
		}
		for _, addr := range masters {
			err := a.hasGroup(ctx, addr, group)
			if errors.Is(err, ErrNoGroup) {
				_, err = a.rpc.callWith(ctx, addr, codeUpdateGroup, nil, body)
			}
			if err != nil {
				return fmt.Errorf("make group %s: %w", group, err)
			}
		}
	}
	return nil
}

// hasGroup returns ErrNoGroup if the broker does not have the group. A broker that
// creates groups does so now. One that does not know the request, before 4.9.4, passes.
func (a *Admin) hasGroup(ctx context.Context, addr, group string) error {
	_, err := a.rpc.call(ctx, addr, codeGroup, map[string]string{"group": group})
	switch {
	case answered(err, answerNoGroup):
		return fmt.Errorf("%w %s: %w", ErrNoGroup, group, err)
	case answered(err, answerNotSupported):
		return nil
	}
	return err
}

// Group returns the members and the subscriptions of the group on every broker of the
// topic. The error is ErrNoGroup if a broker does not have it.
func (a *Admin) Group(ctx context.Context) (Group, error) {
	shards, err := a.rpc.route(ctx, a.opts.NameServers, a.opts.Topic)
	if err != nil {
		return Group{}, err
	}
	members, foreign := map[string]Member{}, map[string]bool{}
	for _, s := range shards {
		if err := a.hasGroup(ctx, s.Addr, a.opts.Group); err != nil {
			return Group{}, err
		}
		ans, err := a.rpc.call(ctx, s.Addr, codeConnections, map[string]string{"consumerGroup": a.opts.Group})
		if answered(err, answerNoMember) {
			continue
		}
		if err != nil {
			return Group{}, err
		}
		if err := a.readGroup(ans.body, members, foreign); err != nil {
			return Group{}, fmt.Errorf("rocketmq: malformed group: %w", err)
		}
	}
	byClient := func(a, b Member) int { return strings.Compare(a.Client, b.Client) }
	return Group{slices.SortedFunc(maps.Values(members), byClient), slices.Sorted(maps.Keys(foreign))}, nil
}

// readGroup adds the members and the foreign subscriptions of one broker.
func (a *Admin) readGroup(body []byte, members map[string]Member, foreign map[string]bool) error {
	var seen struct {
		Connections []struct {
			Client string `json:"clientId"`
			Addr   string `json:"clientAddr"`
		} `json:"connectionSet"`
		Subscriptions map[string]struct {
			Expression string `json:"subString"`
		} `json:"subscriptionTable"`
	}
	if err := json.Unmarshal(body, &seen); err != nil {
		return err
	}
	for _, c := range seen.Connections {
		members[c.Client] = Member{Client: c.Client, Addr: c.Addr}
	}
	for topic, s := range seen.Subscriptions {
		ours := topic == a.opts.Topic && s.Expression == "*"
		if !ours && topic != "%RETRY%"+a.opts.Group {
			foreign[topic+" "+s.Expression] = true
		}
	}
	return nil
}
