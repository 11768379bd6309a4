package telemetry

import (
	"context"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// Traceparent is the message property that carries the trace, named like the W3C
// header.
const Traceparent = headerTraceparent

// Create starts the span of one message inside that of ctx, if there is one. The
// message carries it as its Traceparent; it ends when the outcome of the send is
// known.
func (t *Tracer) Create(ctx context.Context, topic string, orderID int64) Span {
	if t == nil || !Current(ctx).On() {
		return Span{}
	}
	return t.message(ctx, "create", Producer, topic, orderID)
}

// Process starts the span of a delivered message in the trace that it carries, if
// that is sampled.
func (t *Tracer) Process(ctx context.Context, topic, traceparent string, orderID int64) Span {
	if t == nil || traceparent == "" {
		return Span{}
	}
	sender := parent(ctx, traceparent)
	if !sender.IsSampled() {
		return Span{}
	}
	return t.message(trace.ContextWithRemoteSpanContext(ctx, sender), "process", Consumer, topic, orderID)
}

func (t *Tracer) message(ctx context.Context, operation string, kind Kind, topic string, orderID int64) Span {
	_, span := t.otel.Start(ctx, operation+" "+topic, trace.WithSpanKind(kind), trace.WithAttributes( //nolint:spancheck // the caller ends it
		attribute.String("messaging.system", "rocketmq"),
		attribute.String("messaging.destination.name", topic),
		attribute.String("messaging.operation.name", operation),
		attribute.String("messaging.operation.type", operation),
		attribute.String("messaging.message.id", strconv.FormatInt(orderID, 10)),
	))
	return Span{span} //nolint:spancheck // as above
}

// Send starts the span of sending a batch of messages.
func (t *Tracer) Send(topic string, messages int, of []Span) Span {
	if t == nil {
		return Span{}
	}
	_, span := t.Batch(context.Background(), "send "+topic, Client, of)
	span.Text("messaging.system", "rocketmq")
	span.Text("messaging.destination.name", topic)
	span.Text("messaging.operation.name", "send")
	span.Text("messaging.operation.type", "send")
	span.Int("messaging.batch.message_count", messages)
	return span
}
