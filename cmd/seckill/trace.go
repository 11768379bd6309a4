package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"

	"seckill/internal/config"
	"seckill/internal/otlp"
	"seckill/internal/telemetry"
	"seckill/stock"
)

// openTraced is openBackend for a role: its requests and orders are traced, if
// the settings say where to. Closing it sends the spans that wait.
func openTraced(ctx context.Context, cfg config.Config, service string, log *slog.Logger) (*backend, error) {
	tracer, flush, err := openTracer(ctx, cfg.Trace, service, log)
	if err != nil {
		return nil, err
	}
	b, err := openBackend(cfg, log)
	if err != nil {
		return nil, err
	}
	b.trace(tracer)
	shut := b.close
	b.close = func() { shut(); flush() }
	return b, nil
}

// trace makes what is done through b part of the traces of tracer.
func (b *backend) trace(tracer *telemetry.Tracer) {
	if tracer == nil {
		return
	}
	b.tracer = tracer
	stock.Trace(b.redis)
}

// openTracer returns the tracer that the settings ask for, nil for none, and
// what sends the rest of its spans in the end.
func openTracer(ctx context.Context, c config.Trace, service string, log *slog.Logger) (*telemetry.Tracer, func(), error) {
	if c.Endpoint == "" {
		return nil, func() {}, nil
	}
	e, err := otlp.New(ctx, otlp.Options{
		Endpoint: c.Endpoint, Sample: c.Sample, Service: service, Version: thisBuild().Version, Instance: rand.Text(), Log: log,
	})
	if err != nil {
		return nil, nil, &usageError{fmt.Errorf("SECKILL_TRACE_ENDPOINT: %w", err)}
	}
	flush := func() {
		if err := e.Close(context.WithoutCancel(ctx)); err != nil {
			log.WarnContext(ctx, "traces not sent", "err", err)
		}
	}
	return e.Tracer, flush, nil
}
