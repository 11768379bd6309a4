package rocketmq_test

import (
	"strings"
	"testing"
	"time"

	"seckill/queue/rocketmq"

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
	b.names = []string{rocketmq.FakeNameServer(tb, func() string { return b.proxy.Listen })}
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
