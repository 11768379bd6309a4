package rocketmq

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestTheBrokersOfARouteBecomeListenersOfThisProcess(t *testing.T) {
	g := newGateway(Options{TLS: &tls.Config{MinVersion: tls.VersionTLS12}, Log: slog.New(slog.DiscardHandler)})
	g.dial = func(context.Context, string) (net.Conn, error) { return nil, errors.New("away") }
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	defer g.close()
	for _, body := range []string{
		`{"brokerDatas":[{"brokerAddrs":{0:"10.0.0.1:10911",1:"mq-b.example:10911"},"brokerName":"a:1"}],"queueDatas":[]}`,
		`{"brokerDatas":[{"brokerName":"a:1","brokerAddrs" : {"0":"10.0.0.1:10911","1":"mq-b.example:10911"}}]}`,
		`{"brokerDatas":[{"brokerAddrs":{0:"[2001:db8::1]:10911"}}]}`,
		``, `no JSON`,
	} {
		var frame bytes.Buffer
		header := []byte(`{"code":0}`)
		for range 2 { // one behind the other
			require.NoError(t, binary.Write(&frame, binary.BigEndian, []uint32{uint32(4 + len(header) + len(body)), uint32(len(header))}))
			frame.Write(header)
			frame.WriteString(body)
		}
		var got bytes.Buffer
		require.ErrorIs(t, g.rewrite(&got, &frame), io.EOF)
		want := body
		for _, addr := range g.brokers.Keys() {
			l, _ := g.brokers.Peek(addr)
			want = string(bytes.ReplaceAll([]byte(want), []byte(`"`+addr+`"`), []byte(`"`+l.Addr().String()+`"`)))
		}
		for range 2 {
			a, _, err := readAnswer(&got)
			require.NoError(t, err)
			require.Equal(t, want, string(a.body))
			require.NotContains(t, string(a.body), `:10911`)
		}
	}
	require.Equal(t, 3, g.brokers.Len())

	// A server that is away, or that has the wrong certificate, is a connection that ends.
	l, _ := g.brokers.Peek("10.0.0.1:10911")
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	_, err = io.ReadAll(c)
	require.NoError(t, err)
	require.NoError(t, c.Close())
}

func TestBrokersMayGetNewAddressesForEver(t *testing.T) {
	g := newGateway(Options{TLS: &tls.Config{MinVersion: tls.VersionTLS12}, Log: slog.New(slog.DiscardHandler)})
	g.dial = func(context.Context, string) (net.Conn, error) { return nil, errors.New("away") }
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	defer g.close()
	servers, err := g.nameServers([]string{"ns.example:9876"})
	require.NoError(t, err)
	var locals []string
	for i := range maxBrokers + 50 {
		body, err := g.localBrokers(fmt.Appendf(nil, `{"brokerDatas":[{"brokerAddrs":{0:"mq.example:10911",1:"10.0.%d.%d:10911"}}]}`, i/256, i%256))
		require.NoError(t, err)
		locals = addressRE.FindAllString(string(body), -1)
	}
	require.Equal(t, maxBrokers, g.brokers.Len())
	for _, l := range g.servers {
		require.Equal(t, servers[0], l.Addr().String())
	}
	for _, addr := range append(servers, strings.Trim(locals[0], `"`), strings.Trim(locals[1], `"`)) {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err, "the name server, a broker of every route, and the last one")
		require.NoError(t, c.Close())
	}
}

func TestAMalformedAnswerOfANameServerEndsItsConnection(t *testing.T) {
	t.Parallel()
	g := newGateway(Options{TLS: &tls.Config{MinVersion: tls.VersionTLS12}, Log: slog.New(slog.DiscardHandler)})
	defer g.close()
	for _, frame := range []string{"\xff\xff\xff\xff\x00\x00\x00\x01", "\x00\x00\x00\x04\x00\x00\x00\x09{}", "HTTP/1.1 400 Bad Request"} {
		require.Error(t, g.rewrite(io.Discard, bytes.NewReader([]byte(frame))), "%q", frame)
	}
}

func TestUnderTLSNothingGoesToAServerInPlaintext(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	heard := make(chan []byte, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		b := make([]byte, 1<<10)
		n, _ := c.Read(b)
		_, _ = c.Write([]byte("plaintext"))
		heard <- b[:n]
	}()
	g := newGateway(Options{TLS: &tls.Config{MinVersion: tls.VersionTLS12}, Log: slog.New(slog.DiscardHandler)})
	defer g.close()
	servers, err := g.nameServers([]string{l.Addr().String()})
	require.NoError(t, err)
	c, err := net.Dial("tcp", servers[0])
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Write([]byte("an order"))
	require.NoError(t, err)
	first := <-heard
	require.Equal(t, byte(0x16), first[0], "a TLS handshake")
	require.NotContains(t, string(first), "an order")
	got, _ := io.ReadAll(c)
	require.Empty(t, got, "nor does the client hear plaintext")
}
