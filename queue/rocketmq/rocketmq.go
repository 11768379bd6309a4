// Package rocketmq is the order queue and the topic of order events on RocketMQ.
// It is the only importer of the client, and provides what the client does not: an
// outcome of a send that is never guessed, deliveries that are acknowledged only
// when they were handled, and recovery within seconds after the broker or the name
// server was down, also when it is down at the start.
//
// One send of up to 128 orders is in progress at a time; a second sender helps
// after 5 ms. Sends stay with one queue for 10 ms, and a queue is pulled every
// 10 ms at most, so that a pull brings several batches.
//
// The client is not told the namespace: it would put it before the topic again at
// each further try. Names get their namespace here.
package rocketmq

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"seckill/queue"
)

// Outcomes of Publish and Probe other than nil.
var (
	ErrNotStored = queue.ErrNotStored
	ErrUnknown   = queue.ErrUnknown
)

// ErrOptions is the error of invalid options.
var ErrOptions = errors.New("rocketmq: bad options")

type (
	// Message is one delivered message.
	Message = queue.Message
	// Offsets are positions by "broker/queue".
	Offsets = queue.Offsets
)

// DefaultProbeTopic is the topic of Probe if Options has none.
const DefaultProbeTopic = "SECKILL_PROBE"

// Options are the address of the broker and our names there.
type Options struct {
	NameServers []string // host:port, each; a name is resolved at each connect
	AccessKey   string   // with SecretKey: requests are signed
	SecretKey   string
	// TLS is how the servers are verified; nil: connections are plaintext. Without a
	// ServerName, a certificate must be for the host of the address, of a broker for the
	// one that it registers (brokerIP1).
	TLS        *tls.Config
	Namespace  string // put before the names of topics and groups, with a %
	Topic      string // of the orders
	ProbeTopic string // "" is DefaultProbeTopic
	Group      string // of the consumers
	Log        *slog.Logger

	refresh time.Duration // 0 is refreshEvery; tests set it
}

// refreshEvery is how often a topic's queues are read while nothing is wrong: as often as
// the client does.
const refreshEvery = 30 * time.Second

// nameRE matches the names that the broker allows.
var nameRE = regexp.MustCompile(`^[A-Za-z0-9_-]{1,127}$`)

// checked returns o with defaults, and with the namespace in names as the client writes
// it: namespace%name.
func (o Options) checked() (Options, error) {
	o.Log = cmp.Or(o.Log, slog.Default())
	o.refresh = cmp.Or(o.refresh, refreshEvery)
	if o.ProbeTopic == "" {
		o.ProbeTopic = DefaultProbeTopic
	}
	if len(o.NameServers) == 0 {
		return o, fmt.Errorf("%w: no name server", ErrOptions)
	}
	if (o.AccessKey == "") != (o.SecretKey == "") {
		return o, fmt.Errorf("%w: access key and secret key go together", ErrOptions)
	}
	servers := make([]string, len(o.NameServers))
	for i, addr := range o.NameServers {
		host, err := checkAddr(addr)
		if err != nil {
			return o, err
		}
		servers[i] = host
	}
	o.NameServers = servers
	if o.Namespace != "" && !nameRE.MatchString(o.Namespace) {
		return o, fmt.Errorf("%w: namespace %q", ErrOptions, o.Namespace)
	}
	for _, name := range []*string{&o.Topic, &o.ProbeTopic, &o.Group} {
		if *name == "" && name == &o.Group {
			continue // only consumers need a group
		}
		if !nameRE.MatchString(strings.TrimPrefix(*name, o.Namespace+"%")) {
			return o, fmt.Errorf("%w: topic or group %q", ErrOptions, *name)
		}
		*name = o.named(*name)
	}
	return o, nil
}

// named returns name with the namespace in front, once.
func (o Options) named(name string) string {
	if o.Namespace == "" || strings.HasPrefix(name, o.Namespace+"%") {
		return name
	}
	return o.Namespace + "%" + name
}

// checkAddr returns the host:port of a name server's address.
func checkAddr(addr string) (string, error) {
	plain := strings.TrimPrefix(strings.TrimSpace(addr), "http://")
	host, port, err := net.SplitHostPort(plain)
	if err != nil {
		return "", fmt.Errorf("%w: name server %q is not host:port", ErrOptions, addr)
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 1 || n > 65535 || host == "" || strings.ContainsAny(host, " /;,@") {
		return "", fmt.Errorf("%w: name server %q is not host:port", ErrOptions, addr)
	}
	return plain, nil
}

// resolvers returns addresses of name servers for the client: it refuses host names
// without a scheme, which it then removes.
func resolvers(addrs []string) []string {
	with := make([]string, len(addrs))
	for i, addr := range addrs {
		with[i] = "http://" + addr
	}
	return with
}
