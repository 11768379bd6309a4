package testenv

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// Start runs f until stop is called or the test ends. It must return without an error.
func Start(tb testing.TB, f func(context.Context) error) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("stopped: %v", err)
		}
	})
	tb.Cleanup(stop)
	return stop
}

// Send sends a request and returns its response. Headers are names and values in turn.
func Send(tb testing.TB, method, url, body string, headers ...string) (status int, header http.Header, text string) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, url, strings.NewReader(body))
	if err != nil {
		tb.Fatalf("%v", err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatalf("%s %s: %v", method, url, err)
	}
	return resp.StatusCode, resp.Header, string(b)
}
