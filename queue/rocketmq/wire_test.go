package rocketmq

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	client "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/stretchr/testify/require"
)

// serve answers connections with the functions in turn, then with the last.
func serve(tb testing.TB, handlers ...func(net.Conn)) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = l.Close() })
	go func() {
		for i := 0; ; i++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				handlers[min(i, len(handlers)-1)](conn)
			}()
		}
	}()
	return l.Addr().String()
}

func frameOf(h header, body string) []byte {
	b, _ := json.Marshal(h)
	f := binary.BigEndian.AppendUint32(nil, uint32(4+len(b)+len(body)))
	f = binary.BigEndian.AppendUint32(f, uint32(len(b)))
	return append(append(f, b...), body...)
}

// echo answers every request with its own ext fields, after an answer to
// something else.
func echo(conn net.Conn) {
	r := bufio.NewReader(conn)
	for {
		a, seq, err := readAnswer(r)
		if err != nil {
			return
		}
		_, _ = conn.Write(frameOf(header{Code: 5, Opaque: seq + 1000}, "not yours"))
		_, _ = conn.Write(frameOf(header{Opaque: seq, Ext: a.ext}, "yours"))
	}
}

// FakeNameServer says of every topic that it is on one broker.
func FakeNameServer(tb testing.TB, broker func() string) string {
	tb.Helper()
	return serve(tb, func(conn net.Conn) {
		for r := bufio.NewReader(conn); ; {
			a, seq, err := readAnswer(r)
			if err != nil {
				return
			}
			queues := 8
			if strings.Contains(a.ext["topic"], "P_") { // the probe topic
				queues = 1
			}
			// As real name servers do to old clients: no strict JSON.
			body := fmt.Sprintf(`{"brokerDatas":[{"brokerAddrs":{0:"%[1]s"},"brokerName":"broker-a","cluster":"C"}],`+
				`"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":%[2]d,"writeQueueNums":%[2]d,"topicSysFlag":0}]}`, broker(), queues)
			_, _ = conn.Write(frameOf(header{Flag: 1, Language: "JAVA", Opaque: seq, Version: 399}, body))
		}
	})
}

func TestACallReturnsItsOwnAnswer(t *testing.T) {
	t.Parallel()
	c := newCaller(Options{})
	t.Cleanup(c.close)
	addr := serve(t, echo)
	for range 3 {
		a, err := c.call(t.Context(), addr, 30, map[string]string{"topic": "T"})
		require.NoError(t, err)
		require.Equal(t, "yours", string(a.body))
		require.Equal(t, "T", a.ext["topic"])
	}
}

func TestACallIsRepeatedOnceOnAKeptConnectionThatBroke(t *testing.T) {
	t.Parallel()
	one := func(conn net.Conn) { // one answer, then it hangs up
		if _, seq, err := readAnswer(conn); err == nil {
			_, _ = conn.Write(frameOf(header{Opaque: seq}, ""))
		}
	}
	addr := serve(t, one, echo)
	c := newCaller(Options{})
	t.Cleanup(c.close)
	var lost []string
	c.lost = func(addr string) { lost = append(lost, addr) }
	for range 3 {
		_, err := c.call(t.Context(), addr, 30, nil)
		require.NoError(t, err)
	}
	require.Equal(t, []string{addr}, lost)
}

func TestACallEnds(t *testing.T) {
	t.Parallel()
	silent := serve(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	c := newCaller(Options{})
	t.Cleanup(c.close)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := c.call(ctx, silent, 30, nil)
	require.Error(t, err)
	require.True(t, timedOut(err), "%v", err)

	refusing := serve(t, func(conn net.Conn) {
		if _, seq, err := readAnswer(conn); err == nil {
			_, _ = conn.Write(frameOf(header{Code: 17, Remark: "no topic", Opaque: seq}, ""))
		}
	})
	_, err = c.call(t.Context(), refusing, 105, nil)
	require.True(t, answered(err, 17), "%v", err)
	require.ErrorContains(t, err, "no topic")

	huge := serve(t, func(conn net.Conn) { _, _ = conn.Write([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 4}) })
	_, err = c.call(t.Context(), huge, 30, nil)
	require.ErrorContains(t, err, "malformed")
}

func TestAnAnswerIsReadUpToItsLimit(t *testing.T) {
	t.Parallel()
	sizes := func(size, head uint32) io.Reader {
		return bytes.NewReader(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, size), head))
	}
	for _, fits := range []io.Reader{sizes(maxAnswer, 2), sizes(100, 96)} {
		_, _, err := readAnswer(fits)
		require.ErrorIs(t, err, io.EOF, "the rest is missing")
	}
	for _, bad := range []io.Reader{sizes(maxAnswer+1, 2), sizes(100, 97)} {
		_, _, err := readAnswer(bad)
		require.ErrorContains(t, err, "malformed frame")
	}
}

func TestRequestsAreSignedAsTheClientSignsThem(t *testing.T) {
	t.Parallel()
	seen := make(chan map[string]string, 1)
	addr := serve(t, func(conn net.Conn) {
		if a, _, err := readAnswer(conn); err == nil {
			seen <- a.ext
		}
	})
	p, err := client.NewProducer(
		producer.WithNameServer(resolvers([]string{addr})),
		producer.WithInstanceName(instanceName()),
		producer.WithCredentials(primitive.Credentials{AccessKey: "me", SecretKey: "secret"}),
	)
	require.NoError(t, err)
	require.NoError(t, p.Start())
	go func() { // asks for the route, signed
		_, _ = p.SendSync(context.Background(), primitive.NewMessage("T", nil))
	}()
	ext := <-seen
	theirs := ext["Signature"]
	require.NotEmpty(t, theirs)
	delete(ext, "Signature")
	delete(ext, "AccessKey")
	c := newCaller(Options{AccessKey: "me", SecretKey: "secret"})
	signed := c.sign(ext, nil)
	require.Equal(t, theirs, signed["Signature"])
	require.Equal(t, "me", signed["AccessKey"])
	require.NotContains(t, ext, "Signature", "the caller's map was written to")
}

func TestARouteIsReadThoughItIsNoJSON(t *testing.T) {
	t.Parallel()
	body := []byte(`{"brokerDatas":[
		{"brokerAddrs":{1:"10.0.0.2:10911"},"brokerName":"slave-only"},
		{"brokerAddrs":{0:"10.0.0.3:10911",1:"10.0.0.4:10911"},"brokerName":"b"},
		{"brokerAddrs":{"0":"10.0.0.1:10911"},"brokerName":"a"},
		{"brokerAddrs":{0:"10.0.0.5:10911"},"brokerName":"write-only"}],
		"queueDatas":[{"brokerName":"b","perm":6,"readQueueNums":8,"writeQueueNums":6},{"brokerName":"a","perm":4,"readQueueNums":4,"writeQueueNums":4},
		{"brokerName":"slave-only","perm":6,"readQueueNums":8,"writeQueueNums":8},{"brokerName":"write-only","perm":2,"readQueueNums":8,"writeQueueNums":3}]}`)
	shards, err := parseRoute(body, toRead)
	require.NoError(t, err)
	require.Equal(t, []shard{{"a", "10.0.0.1:10911", 4}, {"b", "10.0.0.3:10911", 8}}, shards)
	shards, err = parseRoute(body, toWrite)
	require.NoError(t, err)
	require.Equal(t, []shard{{"b", "10.0.0.3:10911", 6}, {"write-only", "10.0.0.5:10911", 3}}, shards)
	for _, use := range []permission{toRead, toWrite} {
		_, err = parseRoute([]byte("{"), use)
		require.Error(t, err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	good := Options{NameServers: []string{"127.0.0.1:9876"}, Topic: "T", Group: "G"}
	for name, change := range map[string]func(*Options){
		"no name server":     func(o *Options) { o.NameServers = nil },
		"no port":            func(o *Options) { o.NameServers = []string{"127.0.0.1"} },
		"bad port":           func(o *Options) { o.NameServers = []string{"ns:65536"} },
		"port 0":             func(o *Options) { o.NameServers = []string{"ns:0"} },
		"two in one":         func(o *Options) { o.NameServers = []string{"a:1;b:2"} },
		"no host":            func(o *Options) { o.NameServers = []string{":9876"} },
		"no topic":           func(o *Options) { o.Topic = "" },
		"bad topic":          func(o *Options) { o.Topic = "a b" },
		"bad group":          func(o *Options) { o.Group = "%RETRY%x" },
		"bad namespace":      func(o *Options) { o.Namespace = "a%b" },
		"half a credential":  func(o *Options) { o.AccessKey = "me" },
		"topic far too long": func(o *Options) { o.Topic = strings.Repeat("x", 128) },
	} {
		o := good
		change(&o)
		_, err := o.checked()
		require.ErrorIs(t, err, ErrOptions, name)
	}
	for _, addr := range []string{"ns:9876", "ns:1", "ns:65535", "http://ns.example:9876", "[::1]:9876", " 10.0.0.1:9876 "} {
		o := good
		o.NameServers, o.Namespace = []string{addr}, "shop"
		o, err := o.checked()
		require.NoError(t, err, addr)
		require.Equal(t, []string{"shop%T", "shop%SECKILL_PROBE", "shop%G"}, []string{o.Topic, o.ProbeTopic, o.Group})
		again, err := o.checked()
		require.NoError(t, err)
		require.Equal(t, o, again, "the namespace is put before a name once")
		_, err = client.NewProducer(producer.WithNameServer(resolvers(o.NameServers)), producer.WithInstanceName(instanceName()))
		require.NoError(t, err, "the client refuses %s", addr)
	}
}
