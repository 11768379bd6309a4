//go:build e2e

package test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// hop is the wire between a role and a store, with a proxy in it.
type hop struct {
	name  string
	proxy *toxiproxy.Proxy
}

func openHop(name, listen, upstream string) (*hop, error) {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	h := &hop{name, toxiproxy.NewProxy(server, name, listen, upstream)}
	return h, h.proxy.Start()
}

func newHop(t *testing.T, name, upstream string) *hop {
	t.Helper()
	h, err := openHop(name, "127.0.0.1:0", upstream)
	require.NoError(t, err)
	t.Cleanup(h.proxy.Stop)
	return h
}

// toxics are what a wire may suffer from. An answer that is cut off leaves the
// outcome unknown to who asked.
var toxics = map[string]string{
	"timeout": `{"type":"timeout","stream":"downstream","attributes":{"timeout":0}}`,
	"reset":   `{"type":"reset_peer","stream":"downstream","attributes":{"timeout":0}}`,
	"latency": `{"type":"latency","stream":"downstream","attributes":{"latency":150,"jitter":100}}`,
	"cut":     `{"type":"limit_data","stream":"downstream","attributes":{"bytes":700}}`,
}

func (h *hop) poison(toxic string) error {
	_, err := h.proxy.Toxics.AddToxicJson(strings.NewReader(strings.Replace(toxics[toxic], "{", `{"name":"fault",`, 1)))
	return err
}

// heal takes the toxic off and, as one of them may hold a link for ever, cuts
// what was connected.
func (h *hop) heal() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	h.proxy.Stop()
	removed := make(chan error, 1)
	go func() { removed <- h.proxy.Toxics.RemoveToxic(ctx, "fault") }()
	select {
	case err := <-removed:
		if err != nil {
			return err
		}
	case <-ctx.Done():
		return fmt.Errorf("the toxic of %s does not come off", h.name)
	}
	return h.proxy.Start()
}
