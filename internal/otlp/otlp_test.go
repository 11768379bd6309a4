package otlp_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/internal/otlp"
	"seckill/internal/otlp/otlptest"
	"seckill/internal/testenv"
)

func exporter(t *testing.T, endpoint string) (*otlp.Exporter, *testenv.Logs) {
	t.Helper()
	log := &testenv.Logs{}
	e, err := otlp.New(t.Context(), otlp.Options{
		Endpoint: endpoint, Sample: 1, Service: "seckill-api", Version: "v1", Instance: "one", Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	require.NoError(t, err)
	return e, log
}

func span(t *testing.T, e *otlp.Exporter) {
	t.Helper()
	_, s := e.Request(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/time", http.NoBody), "/v1/time")
	s.Answered(http.StatusOK, "id")
}

func TestSpansReachTheCollectorWithWhoSentThem(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{"": "/v1/traces", "/": "/v1/traces", "/otlp/v1/traces": "/otlp/v1/traces"} {
		c := otlptest.New(t)
		e, log := exporter(t, c.URL+path)
		span(t, e)
		require.NoError(t, e.Close(t.Context()), "it sends what waits")
		require.Equal(t, []string{want}, c.Paths())
		s := c.Spans().One(t, "GET /v1/time")
		require.Equal(t, "200", s.Attrs["http.response.status_code"])
		require.Equal(t, "seckill-api", s.Resource["service.name"])
		require.Equal(t, "v1", s.Resource["service.version"])
		require.Equal(t, "one", s.Resource["service.instance.id"])
		require.Empty(t, log.String())
	}
}

func TestADeadCollectorHoldsNobodyUpAndIsLoggedOnce(t *testing.T) {
	t.Parallel()
	c := otlptest.New(t)
	c.Close()
	e, log := exporter(t, c.URL)
	began := time.Now()
	for range 20_000 {
		span(t, e)
	}
	require.Less(t, time.Since(began), 10*time.Second, "what does not fit is dropped, nobody waits")
	require.NoError(t, e.Close(t.Context()))
	require.Equal(t, 1, strings.Count(log.String(), "\n"), log)
	require.Contains(t, log.String(), "level=WARN msg=\"traces dropped")
}

func TestARefusalOfTheCollectorIsLogged(t *testing.T) {
	t.Parallel()
	c := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	defer c.Close()
	e, log := exporter(t, c.URL)
	span(t, e)
	require.NoError(t, e.Close(t.Context()))
	require.Contains(t, log.String(), "level=WARN msg=\"traces dropped")
}

func TestACollectorThatHangsDoesNotHoldUpTheEnd(t *testing.T) {
	t.Parallel()
	free := make(chan struct{})
	c := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-free }))
	defer c.Close()
	defer close(free)
	e, _ := exporter(t, c.URL)
	for range 2_000 { // several requests' worth
		span(t, e)
	}
	began := time.Now()
	require.NoError(t, e.Close(context.WithoutCancel(t.Context())))
	require.Less(t, time.Since(began), 7*time.Second)
}

func TestABadEndpointIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"", "collector:4318", "127.0.0.1:4318", "http://", "://"} {
		_, err := otlp.New(t.Context(), otlp.Options{Endpoint: endpoint})
		require.ErrorContains(t, err, "http://127.0.0.1:4318", endpoint)
	}
}
