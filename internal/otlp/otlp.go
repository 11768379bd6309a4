// Package otlp sends spans to a collector with OTLP over HTTP. It never
// delays the program: spans wait in a bounded queue, each request
// is bounded in time and made once, and what the collector does not take is
// dropped, with a line in the log at most once a minute.
package otlp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"seckill/internal/telemetry"
)

const (
	// queued bounds the spans that wait: some 8 MB, and two seconds of 2,000
	// spans each. More are dropped.
	queued = 4096
	batch  = 512
	every  = 2 * time.Second // how long a span waits for others
	// within bounds a request; a further one would only make the queue fuller.
	within = 3 * time.Second
	// links of a span: a settling batch has one for each of up to 256 orders.
	links = 256
)

// Options are the collector and what is sent to it.
type Options struct {
	Endpoint string  // http(s)://host:port; without a path it is /v1/traces
	Sample   float64 // of requests, 0 to 1
	Service  string  // name of this process
	Version  string
	Instance string // one process of the service
	Log      *slog.Logger
}

// Exporter is a Tracer whose spans go to a collector.
type Exporter struct {
	*telemetry.Tracer
	provider *sdk.TracerProvider
}

// New returns an Exporter. It does not wait for the collector, which may be
// down. Headers (authorization, for one) and certificates for it are taken from
// OpenTelemetry's own OTEL_EXPORTER_OTLP_… variables.
func New(ctx context.Context, o Options) (*Exporter, error) {
	at, err := url.Parse(o.Endpoint)
	if err != nil || at.Host == "" {
		return nil, fmt.Errorf("otlp: want an address such as http://127.0.0.1:4318, got %q", o.Endpoint)
	}
	if at.Path == "" || at.Path == "/" {
		at.Path = "/v1/traces"
	}
	client, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(at.String()), otlptracehttp.WithTimeout(within),
		otlptracehttp.WithCompression(otlptracehttp.GzipCompression), otlptracehttp.WithRetry(otlptracehttp.RetryConfig{}))
	if err != nil {
		return nil, fmt.Errorf("otlp: %w", err)
	}
	limits := sdk.NewSpanLimits()
	limits.LinkCountLimit = links
	provider := sdk.NewTracerProvider(
		sdk.WithSampler(sdk.AlwaysSample()), // the Tracer decides
		sdk.WithRawSpanLimits(limits),
		sdk.WithResource(resource.NewWithAttributes(semconv.SchemaURL,
			semconv.ServiceNamespace("seckill"), semconv.ServiceName(o.Service), semconv.ServiceVersion(o.Version), semconv.ServiceInstanceID(o.Instance),
			attribute.String("telemetry.sdk.language", "go"))),
		sdk.WithBatcher(&quiet{SpanExporter: client, log: o.Log}, sdk.WithMaxQueueSize(queued), sdk.WithMaxExportBatchSize(batch),
			sdk.WithBatchTimeout(every), sdk.WithExportTimeout(within)),
	)
	return &Exporter{telemetry.NewTracer(provider, o.Sample), provider}, nil
}

// Close sends what waits, for a few seconds at most.
func (e *Exporter) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := e.provider.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("otlp: close: %w", err)
	}
	return nil
}

// quiet logs failures now and then; the SDK would print each one with its own logger.
type quiet struct {
	sdk.SpanExporter
	log     *slog.Logger
	logged  time.Time // the SDK exports from one goroutine at a time
	dropped int
}

// logEvery is the pause between two lines.
const logEvery = time.Minute

func (q *quiet) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := q.SpanExporter.ExportSpans(ctx, spans)
	if err == nil {
		return nil
	}
	q.dropped += len(spans)
	if time.Since(q.logged) >= logEvery {
		q.log.WarnContext(ctx, "traces dropped: the collector did not take them", "spans", q.dropped, "err", err)
		q.logged, q.dropped = time.Now(), 0
	}
	return nil
}
