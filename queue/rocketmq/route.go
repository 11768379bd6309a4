package rocketmq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Request and response codes of the remoting protocol.
const (
	codeQueryCommitted = 14
	codeUpdateTopic    = 17
	codeBrokerConfig   = 26
	codeSearchOffset   = 29
	codeMaxOffset      = 30
	codeMinOffset      = 31
	codeRuntimeInfo    = 28
	codeRoute          = 105
	codeCluster        = 106

	answerNoTopic  = 17
	answerNoOffset = 22
)

// routeTimeout bounds the request to one name server, so that there is time for the next
// one.
const routeTimeout = time.Second

// ErrNoTopic is the error of a topic of no known broker: it does not exist, or its
// broker is down.
var ErrNoTopic = errors.New("rocketmq: topic has no broker")

// ErrPermission is the error of a topic that exists and may not be used: its own
// permission or that of its brokers (brokerPermission) forbids it. It is an ErrNoTopic as
// well: there is no queue to use.
var ErrPermission = errors.New("rocketmq: the topic may not be used")

// permissionError is an ErrPermission.
type permissionError struct {
	topic string
	use   permission
}

func (e *permissionError) Error() string {
	word := "read"
	if e.use == toWrite {
		word = "written to"
	}
	return fmt.Sprintf("rocketmq: no queue of topic %s may be %s: its permission, or the broker's brokerPermission, forbids it", e.topic, word)
}

func (e *permissionError) Is(target error) bool {
	return target == ErrNoTopic || target == ErrPermission
}

// shard is one master broker's part of a topic.
type shard struct {
	Broker string // its name
	Addr   string // of the master
	Queues int    // that can be read or written to, whichever the route is for
}

// permission is what a route is for, with the broker's numbers.
type permission int

const (
	toWrite permission = 2
	toRead  permission = 4
)

// bareKeyRE matches the keys of {0:"addr"}, which is not JSON.
var bareKeyRE = regexp.MustCompile(`([{,])(\d+):`)

func strictJSON(b []byte) []byte { return bareKeyRE.ReplaceAll(b, []byte(`$1"$2":`)) }

type brokerData struct {
	Name  string            `json:"brokerName"`
	Addrs map[string]string `json:"brokerAddrs"` // by broker ID; 0 is the master
}

// route asks the name servers in turn for the master brokers of a topic and their queues
// to read, by name. The error is ErrNoTopic if a name server knows none.
func (c *caller) route(ctx context.Context, servers []string, topic string) ([]shard, error) {
	return c.routeFor(ctx, servers, topic, toRead)
}

// writeRoute is route with the queues to write to. They are fewer while a topic is
// reduced or a broker is about to be shut down.
func (c *caller) writeRoute(ctx context.Context, servers []string, topic string) ([]shard, error) {
	return c.routeFor(ctx, servers, topic, toWrite)
}

func (c *caller) routeFor(ctx context.Context, servers []string, topic string, use permission) ([]shard, error) {
	a, err := c.askAny(ctx, servers, codeRoute, map[string]string{"topic": topic, "acceptStandardJsonOnly": "true"})
	if answered(err, answerNoTopic) {
		return nil, fmt.Errorf("%w: %s", ErrNoTopic, topic)
	}
	if err != nil {
		return nil, err
	}
	shards, err := parseRoute(a.body, use)
	if err == nil && len(shards) == 0 {
		if some, _ := parseRoute(a.body, toRead|toWrite); len(some) > 0 {
			return nil, &permissionError{topic, use}
		}
		err = ErrNoTopic
	}
	if err != nil {
		return nil, fmt.Errorf("route of %s: %w", topic, err)
	}
	return shards, nil
}

func parseRoute(body []byte, use permission) ([]shard, error) {
	var route struct {
		Brokers []brokerData `json:"brokerDatas"`
		Queues  []struct {
			Broker string `json:"brokerName"`
			Read   int    `json:"readQueueNums"`
			Write  int    `json:"writeQueueNums"`
			Perm   int    `json:"perm"`
		} `json:"queueDatas"`
	}
	if err := json.Unmarshal(strictJSON(body), &route); err != nil {
		return nil, err
	}
	var shards []shard
	for _, b := range route.Brokers {
		s := shard{Broker: b.Name, Addr: b.Addrs["0"]}
		for _, q := range route.Queues {
			switch {
			case q.Broker != b.Name || q.Perm&int(use) == 0:
			case use == toWrite:
				s.Queues = q.Write
			default:
				s.Queues = q.Read
			}
		}
		if s.Addr != "" && s.Queues > 0 {
			shards = append(shards, s)
		}
	}
	slices.SortFunc(shards, func(a, b shard) int { return strings.Compare(a.Broker, b.Broker) })
	return shards, nil
}

// cluster asks the name servers in turn for every broker, by name.
func (c *caller) cluster(ctx context.Context, servers []string) (map[string]brokerData, error) {
	a, err := c.askAny(ctx, servers, codeCluster, nil)
	if err != nil {
		return nil, err
	}
	var cluster struct {
		Brokers map[string]brokerData `json:"brokerAddrTable"`
	}
	if err := json.Unmarshal(strictJSON(a.body), &cluster); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	return cluster.Brokers, nil
}

// masters asks the name servers in turn for every master broker: address by
// name.
func (c *caller) masters(ctx context.Context, servers []string) (map[string]string, error) {
	brokers, err := c.cluster(ctx, servers)
	if err != nil {
		return nil, err
	}
	masters := make(map[string]string)
	for name, b := range brokers {
		if addr := b.Addrs["0"]; addr != "" {
			masters[name] = addr
		}
	}
	return masters, nil
}

// askAny returns the response of the first name server that has one, or all errors.
func (c *caller) askAny(ctx context.Context, servers []string, code int, ext map[string]string) (answer, error) {
	var errs []error
	for _, server := range servers {
		one, cancel := context.WithTimeout(ctx, routeTimeout)
		a, err := c.call(one, server, code, ext)
		cancel()
		if err == nil {
			return a, nil
		}
		errs = append(errs, err)
	}
	return answer{}, errors.Join(errs...)
}
