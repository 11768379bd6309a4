package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// servePong is the baseline: the smallest program on the same framework. It responds
// with pong to the requests that wrk sends to ours, and to a plain GET.
func servePong(addr string) error {
	var answered atomic.Int64
	pong := func(c echo.Context) error {
		answered.Add(1)
		return c.String(http.StatusOK, "pong")
	}
	e := echo.New()
	e.POST("/v1/sales/:id/orders", pong)
	e.GET("/", pong)
	e.GET("/count", func(c echo.Context) error {
		return c.String(http.StatusOK, strconv.FormatInt(answered.Load(), 10))
	})
	return (&http.Server{Addr: addr, Handler: e, ReadHeaderTimeout: 5 * time.Second}).ListenAndServe()
}

// serveCollector receives spans (OTLP over HTTP), decodes them as a collector does, and
// counts them.
func serveCollector(addr string) error {
	var spans atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", func(w http.ResponseWriter, r *http.Request) {
		n, err := spansOf(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		spans.Add(n)
	})
	mux.HandleFunc("GET /count", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, spans.Load()) })
	return (&http.Server{Addr: addr, Handler: mux, ReadHeaderTimeout: 5 * time.Second}).ListenAndServe()
}

func spansOf(body io.Reader) (n int64, err error) {
	z, err := gzip.NewReader(body)
	if err != nil {
		return 0, err
	}
	text, err := io.ReadAll(z)
	if err != nil {
		return 0, err
	}
	var d tracepb.TracesData // same encoding as ExportTraceServiceRequest
	if err := proto.Unmarshal(text, &d); err != nil {
		return 0, err
	}
	for _, of := range d.GetResourceSpans() {
		for _, scope := range of.GetScopeSpans() {
			n += int64(len(scope.GetSpans()))
		}
	}
	return n, nil
}
