package telemetry

import (
	"context"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// Traceparent is the property of a message that carries its trace, by the name
// of its W3C header.
const Traceparent = headerTraceparent

// Create begins the span of one message, inside the one of ctx, if there is
// one. The message carries it as its Traceparent; it ends when it is known
// whether the queue has the message.
func (t *Tracer) Create(ctx context.Context, topic string, orderID int64) Span {
	if t == nil || !Current(ctx).On() {
		return Span{}
	}
	return t.message(ctx, "create", Producer, topic, orderID)
}

// Process begins the span of a message that was delivered, in the trace that it
// carries, if it carries one that is sampled.
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

// Send begins the span of a batch of so many messages that is sent at once.
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
