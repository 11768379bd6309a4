package rocketmq

import (
	"encoding/binary"

	"github.com/apache/rocketmq-client-go/v2/primitive"

	"seckill/internal/telemetry"
	"seckill/order"
	"seckill/queue"
)

const maxBatch = 128 // messages a batch; together far below the 4 MiB that a broker takes

// appendMessage appends one message in the form that a batch carries. Written
// here instead of by the client it costs no map and no buffer a message, and a
// further try cannot be spoilt by what the client does to its messages. The
// order ID as UNIQ_KEY becomes the message ID at the consumer; without one a
// batch has the broker's physical IDs.
// A trace, if there is one, goes along as the property of its W3C name; then
// come further properties, names and values in turn.
func appendMessage(dst []byte, id, trace string, body func([]byte) []byte, more ...string) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, 16)...) // size; magic, CRC and flag stay 0
	dst = append(dst, 0, 0, 0, 0)
	at := len(dst)
	dst = body(dst)
	binary.BigEndian.PutUint32(dst[at-4:], uint32(len(dst)-at))
	const key = primitive.PropertyUniqueClientMessageIdKeyIndex + "\x01"
	dst = append(dst, 0, 0)
	properties := len(dst)
	dst = append(append(append(dst, key...), id...), 2)
	if trace != "" {
		const key = telemetry.Traceparent + "\x01"
		dst = append(append(append(dst, key...), trace...), 2)
	}
	for i := 0; i+1 < len(more); i += 2 {
		dst = append(append(append(dst, more[i]...), 1), more[i+1]...)
		dst = append(dst, 2)
	}
	binary.BigEndian.PutUint16(dst[properties-2:], uint16(len(dst)-properties))
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start))
	return dst
}

func appendOrder(dst []byte, o order.Order, trace string) []byte {
	return appendMessage(dst, o.ID.String(), trace, func(b []byte) []byte { return order.AppendMessage(b, o) })
}

// contentType says that the body is a CloudEvent in structured mode, in the
// property that CloudEvents' SDKs look for it.
const contentType, structured = "CE_contenttype", "application/cloudevents+json"

// appendEvent appends an order event: found by its order's ID, and filtered by
// its status.
func appendEvent(dst []byte, m queue.EventMessage) []byte {
	return appendMessage(dst, m.ID, "", func(b []byte) []byte { return append(b, m.Body...) },
		primitive.PropertyKeys, m.OrderID.String(), primitive.PropertyTags, string(m.Status), contentType, structured)
}

// batchMessage wraps a batch for the client. Its Queue is filled in by the
// picker with the queue that was chosen.
func batchMessage(topic string, batch []byte) *primitive.Message {
	return &primitive.Message{Topic: topic, Body: batch, Batch: true, Queue: &primitive.MessageQueue{}}
}
