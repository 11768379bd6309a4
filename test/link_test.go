//go:build e2e

package test

import (
	"strings"
	"sync"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// link is the connection of a role to a store, through a proxy.
type link struct {
	name, listen, upstream string

	mu    sync.Mutex
	proxy *toxiproxy.Proxy
}

func openLink(name, listen, upstream string) (*link, error) {
	h := &link{name: name, listen: listen, upstream: upstream}
	err := h.open()
	return h, err
}

func (h *link) open() error {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	h.proxy = toxiproxy.NewProxy(server, h.name, h.listen, h.upstream)
	if err := h.proxy.Start(); err != nil {
		return err
	}
	h.listen = h.proxy.Listen // with the port that it was given
	return nil
}

// close cuts what is connected.
func (h *link) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.proxy.Stop()
}

func newLink(t *testing.T, name, upstream string) *link {
	t.Helper()
	h, err := openLink(name, "127.0.0.1:0", upstream)
	require.NoError(t, err)
	t.Cleanup(h.close)
	return h
}

// toxics are the faults of a link. If an answer is cut off, the caller does not know
// the outcome.
var toxics = map[string]string{
	"timeout": `{"type":"timeout","stream":"downstream","attributes":{"timeout":0}}`,
	"reset":   `{"type":"reset_peer","stream":"downstream","attributes":{"timeout":0}}`,
	"latency": `{"type":"latency","stream":"downstream","attributes":{"latency":150,"jitter":100}}`,
	"late":    `{"type":"latency","stream":"upstream","attributes":{"latency":700}}`,
	"cut":     `{"type":"limit_data","stream":"downstream","attributes":{"bytes":700}}`,
}

func (h *link) poison(toxic string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.proxy.Toxics.AddToxicJson(strings.NewReader(strings.Replace(toxics[toxic], "{", `{"name":"fault",`, 1)))
	return err
}

// heal replaces the proxy: removing a toxic may wait for ever for a connection that
// it holds.
func (h *link) heal() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.proxy.Stop()
	return h.open()
}
