package rocketmq

import (
	"bufio"
	"bytes"
	"context"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAProducerIsReplacedAsSoonAsThereIsARouteForANewOne(t *testing.T) {
	t.Parallel()
	var looked atomic.Int64
	server := serve(t, func(conn net.Conn) {
		for r := bufio.NewReader(conn); ; {
			_, seq, err := readAnswer(r)
			if err != nil {
				return
			}
			a, body := header{Opaque: seq}, oneBroker
			if looked.Add(1) <= 2 {
				a.Code, body = answerNoTopic, ""
			}
			_, _ = conn.Write(frameOf(a, body))
		}
	})
	l := newLink(Options{NameServers: []string{server}, Topic: "T"})
	t.Cleanup(l.rpc.close)
	l.wrong.Store(true)
	require.True(t, l.watch(t.Context()))
	require.EqualValues(t, 3, looked.Load(), "it asks again until there is one")

	ctx, cancel := context.WithCancel(t.Context())
	l.wrong.Store(false)
	cancel()
	require.False(t, l.watch(ctx))
}

func TestAProducerThatCannotConnectSaysSoOnce(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	l := newLink(Options{NameServers: []string{nobody}, Topic: "T", Log: slog.New(slog.NewTextHandler(&log, nil))})
	t.Cleanup(l.rpc.close)
	ctx, cancel := context.WithTimeout(t.Context(), connectEvery*5/2)
	defer cancel()
	l.run(ctx)
	require.Error(t, ctx.Err(), "it tries as long as it may")
	require.Equal(t, 1, bytes.Count(log.Bytes(), []byte("msg=")), "%s", log.String())
	require.Contains(t, log.String(), "producer not connected")
	require.ErrorContains(t, l.notConnected(), "refused")
}
