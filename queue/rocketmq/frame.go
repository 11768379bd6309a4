package rocketmq

import (
	"encoding/binary"

	"github.com/apache/rocketmq-client-go/v2/primitive"

	"seckill/internal/telemetry"
	"seckill/order"
	"seckill/queue"
)

const maxBatch = 128 // messages a batch; together far below the 4 MiB that a broker takes

// appendMessage appends one message in the format of a batch. Doing it here instead of
// in the client needs no map and no buffer per message, and a further try does not
// depend on what the client changed in its messages. The order ID as UNIQ_KEY becomes
// the message ID at the consumer; without it, a batch has the broker's physical IDs. A
// traceparent is a property with its W3C name. more are names and values of further
// properties.
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

func appendOrder(dst []byte, s *order.Signer, o order.Order, trace string) []byte {
	return appendMessage(dst, o.ID.String(), trace, func(b []byte) []byte { return s.Append(b, o) })
}

// contentType marks the body as a CloudEvent in structured mode, in the property that
// CloudEvents' SDKs read.
const contentType, structured = "CE_contenttype", "application/cloudevents+json"

// appendEvent appends an order event, with its order ID as key and its status as tag.
func appendEvent(dst []byte, m queue.EventMessage) []byte {
	return appendMessage(dst, m.ID, "", func(b []byte) []byte { return append(b, m.Body...) },
		primitive.PropertyKeys, m.OrderID.String(), primitive.PropertyTags, string(m.Status), contentType, structured)
}

// batchMessage wraps a batch for the client. The picker sets Queue to the queue that it
// chose.
func batchMessage(topic string, batch []byte) *primitive.Message {
	return &primitive.Message{Topic: topic, Body: batch, Batch: true, Queue: &primitive.MessageQueue{}}
}
