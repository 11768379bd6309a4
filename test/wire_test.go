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

// hop is the wire between a role and a store, with a proxy in it.
type hop struct {
	name, listen, upstream string

	mu    sync.Mutex
	proxy *toxiproxy.Proxy
}

func openHop(name, listen, upstream string) (*hop, error) {
	h := &hop{name: name, listen: listen, upstream: upstream}
	err := h.open()
	return h, err
}

func (h *hop) open() error {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	h.proxy = toxiproxy.NewProxy(server, h.name, h.listen, h.upstream)
	if err := h.proxy.Start(); err != nil {
		return err
	}
	h.listen = h.proxy.Listen // with the port that it was given
	return nil
}

// close cuts what is connected.
func (h *hop) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.proxy.Stop()
}

func newHop(t *testing.T, name, upstream string) *hop {
	t.Helper()
	h, err := openHop(name, "127.0.0.1:0", upstream)
	require.NoError(t, err)
	t.Cleanup(h.close)
	return h
}

// toxics are what a wire may suffer from. An answer that is cut off leaves the
// outcome unknown to who asked.
var toxics = map[string]string{
	"timeout": `{"type":"timeout","stream":"downstream","attributes":{"timeout":0}}`,
	"reset":   `{"type":"reset_peer","stream":"downstream","attributes":{"timeout":0}}`,
	"latency": `{"type":"latency","stream":"downstream","attributes":{"latency":150,"jitter":100}}`,
	"late":    `{"type":"latency","stream":"upstream","attributes":{"latency":700}}`,
	"cut":     `{"type":"limit_data","stream":"downstream","attributes":{"bytes":700}}`,
}

func (h *hop) poison(toxic string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.proxy.Toxics.AddToxicJson(strings.NewReader(strings.Replace(toxics[toxic], "{", `{"name":"fault",`, 1)))
	return err
}

// heal puts another proxy in the place of the poisoned one: to take a toxic off
// may wait for ever for a link that it holds.
func (h *hop) heal() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.proxy.Stop()
	return h.open()
}
