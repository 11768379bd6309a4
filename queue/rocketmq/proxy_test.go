package rocketmq_test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// bridge is a proxy before the real broker, and a name server that sends
// everyone to the proxy: the broker itself advertises its own address.
type bridge struct {
	tb    testing.TB
	proxy *toxiproxy.Proxy
	names []string
}

func newBridge(tb testing.TB, broker string) *bridge {
	tb.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	b := &bridge{tb: tb, proxy: toxiproxy.NewProxy(server, "broker", "127.0.0.1:0", broker)}
	require.NoError(tb, b.proxy.Start())
	tb.Cleanup(b.proxy.Stop)
	b.names = []string{fakeNameServer(tb, func() string { return b.proxy.Listen })}
	return b
}

// cutAnswers lets requests pass and holds back what the broker answers.
func (b *bridge) cutAnswers() {
	_, err := b.proxy.Toxics.AddToxicJson(strings.NewReader(
		`{"name":"cut","type":"timeout","stream":"downstream","attributes":{"timeout":0}}`))
	require.NoError(b.tb, err)
}

func (b *bridge) heal() {
	require.NoError(b.tb, b.proxy.Toxics.RemoveToxic(b.tb.Context(), "cut"))
}

// refuse closes every connection and refuses new ones until accept.
func (b *bridge) refuse() { b.proxy.Stop() }

func (b *bridge) accept() {
	require.Eventually(b.tb, func() bool { return b.proxy.Start() == nil }, 5*time.Second, 10*time.Millisecond)
}

// fakeNameServer says of every topic that it is on one broker.
func fakeNameServer(tb testing.TB, broker func() string) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	var conns sync.WaitGroup
	done := make(chan struct{})
	tb.Cleanup(func() { close(done); _ = l.Close(); conns.Wait() })
	conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				conns.Go(func() { <-done; _ = conn.Close() })
				serveNames(conn, broker)
			})
		}
	})
	return l.Addr().String()
}

func serveNames(conn net.Conn, broker func() string) {
	r := bufio.NewReader(conn)
	for {
		head, err := readFrame(r)
		if err != nil {
			return
		}
		const answer = 1
		h, err := json.Marshal(map[string]any{"code": 0, "flag": answer, "language": "JAVA", "opaque": head.Opaque, "version": 399})
		if err != nil {
			return
		}
		queues := 8
		if strings.Contains(head.Ext["topic"], "P_") { // the probe topic
			queues = 1
		}
		// As real name servers do to old clients: no strict JSON.
		body := fmt.Sprintf(`{"brokerDatas":[{"brokerAddrs":{0:"%[1]s"},"brokerName":"broker-a","cluster":"C"}],`+
			`"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":%[2]d,"writeQueueNums":%[2]d,"topicSysFlag":0}]}`, broker(), queues)
		b := binary.BigEndian.AppendUint32(nil, uint32(4+len(h)+len(body)))
		b = binary.BigEndian.AppendUint32(b, uint32(len(h)))
		if _, err := conn.Write(append(append(b, h...), body...)); err != nil {
			return
		}
	}
}

// frameHead is the part of a request's header that tests look at.
type frameHead struct {
	Code   int               `json:"code"`
	Opaque int               `json:"opaque"`
	Ext    map[string]string `json:"extFields"`
}

func readFrame(r io.Reader) (frameHead, error) {
	var h frameHead
	var sizes [8]byte
	if _, err := io.ReadFull(r, sizes[:]); err != nil {
		return h, err
	}
	rest := make([]byte, binary.BigEndian.Uint32(sizes[:])-4)
	if _, err := io.ReadFull(r, rest); err != nil {
		return h, err
	}
	return h, json.Unmarshal(rest[:binary.BigEndian.Uint32(sizes[4:])&0xffffff], &h)
}
