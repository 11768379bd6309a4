package rocketmq

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"regexp"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"seckill/internal/loop"
)

// gateway gives the client its connections under TLS. The client itself has none, and
// its later versions verify no certificate. So it connects to listeners of this process
// on the loopback interface, one for each server, and each of its connections goes on
// under TLS to that server, or is closed: never in plaintext. A name server's responses
// name brokers; they are rewritten to the listeners for them.
//
// Whoever else connects to a listener gets what a connection of its own to the server
// would get: there is no client certificate, and requests are signed by the client.
type gateway struct {
	dial   func(ctx context.Context, addr string) (net.Conn, error)
	log    *slog.Logger
	failed rate.Sometimes  // log lines
	ctx    context.Context //nolint:containedctx // of the connections: it ends with the gateway, not with a call
	stop   context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	servers map[string]net.Listener          // for the name servers, by their address
	brokers *lru.Cache[string, net.Listener] // for those that were in a route last
}

const (
	// maxBrokers bounds the listeners for brokers: some get a new address with every
	// start. Where the listener was closed, connections go on.
	maxBrokers  = 256
	dialTimeout = 3 * time.Second
)

// newGateway returns nil, a gateway that passes everything by, for options without TLS.
func newGateway(o Options) *gateway {
	if o.TLS == nil {
		return nil
	}
	brokers, err := lru.NewWithEvict(maxBrokers, func(_ string, l net.Listener) { _ = l.Close() })
	if err != nil {
		panic(err) // the size is not positive
	}
	ctx, stop := context.WithCancel(context.Background())
	return &gateway{
		dial: o.dial, log: o.Log, failed: rate.Sometimes{Interval: 10 * time.Second}, ctx: ctx, stop: stop,
		servers: make(map[string]net.Listener), brokers: brokers,
	}
}

// dial connects to a server, under TLS if the options have it.
func (o Options) dial(ctx context.Context, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	d := &net.Dialer{}
	if o.TLS == nil {
		return d.DialContext(ctx, "tcp", addr)
	}
	return (&tls.Dialer{NetDialer: d, Config: o.TLS}).DialContext(ctx, "tcp", addr)
}

// nameServers returns where the client is to connect instead of to the name servers.
func (g *gateway) nameServers(addrs []string) ([]string, error) {
	if g == nil {
		return addrs, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	locals := make([]string, len(addrs))
	for i, addr := range addrs {
		l := g.servers[addr]
		if l == nil {
			var err error
			if l, err = g.listen(addr, g.rewrite); err != nil {
				return nil, err
			}
			g.servers[addr] = l
		}
		locals[i] = l.Addr().String()
	}
	return locals, nil
}

// broker returns where the client is to connect instead of to a broker.
func (g *gateway) broker(addr string) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l, ok := g.brokers.Get(addr)
	if !ok {
		var err error
		if l, err = g.listen(addr, pass); err != nil {
			return "", err
		}
		g.brokers.Add(addr, l)
	}
	return l.Addr().String(), nil
}

// listen opens a listener for a server. answers passes on what the server sends.
func (g *gateway) listen(addr string, answers func(client io.Writer, server io.Reader) error) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(g.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the client: %w", err)
	}
	g.work.Go(func() { g.accept(l, addr, answers) })
	return l, nil
}

func (g *gateway) accept(l net.Listener, addr string, answers func(io.Writer, io.Reader) error) {
	stop := context.AfterFunc(g.ctx, func() { _ = l.Close() })
	defer stop()
	for {
		client, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no file descriptor is left
			_ = loop.Pause(g.ctx, 100*time.Millisecond)
			continue
		}
		g.work.Go(func() { g.connect(client, addr, answers) })
	}
}

// connect joins a connection of the client with one to the server, until either ends.
func (g *gateway) connect(client net.Conn, addr string, answers func(io.Writer, io.Reader) error) {
	defer client.Close()
	server, err := g.dial(g.ctx, addr)
	if err != nil {
		g.failed.Do(func() { g.log.WarnContext(g.ctx, "RocketMQ not reached under TLS", "addr", addr, "err", err) })
		return
	}
	both := func() { _ = client.Close(); _ = server.Close() }
	defer both()
	defer context.AfterFunc(g.ctx, both)()
	var asked sync.WaitGroup
	asked.Go(func() { _, _ = io.Copy(server, client); both() })
	_ = answers(client, server) // the client notices the end of its connection
	both()
	asked.Wait()
}

func pass(client io.Writer, server io.Reader) error {
	_, err := io.Copy(client, server)
	return err
}

// rewrite passes on a name server's responses, with our listeners for the brokers.
func (g *gateway) rewrite(client io.Writer, server io.Reader) error {
	r := bufio.NewReader(server)
	for {
		var sizes [8]byte
		if _, err := io.ReadFull(r, sizes[:]); err != nil {
			return err
		}
		size, head := binary.BigEndian.Uint32(sizes[:]), binary.BigEndian.Uint32(sizes[4:])&0xffffff
		if size > maxAnswer || size < 4+head {
			return fmt.Errorf("rocketmq: malformed frame: %d, %d", size, head)
		}
		rest := make([]byte, size-4)
		if _, err := io.ReadFull(r, rest); err != nil {
			return err
		}
		body, err := g.localBrokers(rest[head:])
		if err != nil {
			g.failed.Do(func() { g.log.WarnContext(g.ctx, "route not passed to the client", "err", err) })
			return err
		}
		binary.BigEndian.PutUint32(sizes[:], 4+head+uint32(len(body)))
		if _, err := client.Write(append(append(sizes[:], rest[:head]...), body...)); err != nil {
			return err
		}
	}
}

// A route has its brokers as "brokerAddrs":{0:"host:port",…}, with or without quotes
// around the numbers.
var (
	brokerAddrsRE = regexp.MustCompile(`"brokerAddrs"\s*:\s*\{[^{}]*\}`)
	addressRE     = regexp.MustCompile(`"[^"]+:\d+"`)
)

func (g *gateway) localBrokers(body []byte) (_ []byte, err error) {
	body = brokerAddrsRE.ReplaceAllFunc(body, func(addrs []byte) []byte {
		return addressRE.ReplaceAllFunc(addrs, func(quoted []byte) []byte {
			local, failed := g.broker(string(quoted[1 : len(quoted)-1]))
			if failed != nil {
				err = failed
			}
			return []byte(`"` + local + `"`)
		})
	})
	return body, err
}

// close ends all connections.
func (g *gateway) close() {
	if g == nil {
		return
	}
	g.stop()
	g.work.Wait()
}
