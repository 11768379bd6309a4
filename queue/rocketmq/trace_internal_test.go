package rocketmq

import (
	"context"
	"log/slog"
	"testing"
	"time"

	client "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/stretchr/testify/require"

	"seckill/internal/telemetry/telemetrytest"
	"seckill/order"
)

// stores is a producer that keeps what it is sent, or fails.
type stores struct {
	client.Producer

	sent   [][]byte
	status primitive.SendStatus
}

func (s *stores) SendSync(_ context.Context, ms ...*primitive.Message) (*primitive.SendResult, error) {
	s.sent = append(s.sent, ms[0].Body)
	return &primitive.SendResult{Status: s.status}, nil
}

func TestABatchThatIsSentIsLinkedWithItsTracedMessages(t *testing.T) {
	t.Parallel()
	tracer, spans := telemetrytest.New(t, 1)
	opts, err := Options{NameServers: []string{"127.0.0.1:1"}, Namespace: "NS", Topic: "T", Group: "g", Log: slog.New(slog.DiscardHandler)}.checked()
	require.NoError(t, err)
	fake := &stores{}
	p := newPublisher(opts, PublisherOptions{Signer: testSigner(t), Tracer: tracer})
	p.link.cur.Store(&connection{client: fake})
	plain := order.Order{ID: 1001, SaleID: 1, ShopperID: "alice", Quantity: 1}
	traced := order.Order{ID: 2002, SaleID: 1, ShopperID: "bobby", Quantity: 1}

	done := make(chan error, 2)
	go func() { done <- p.Publish(t.Context(), plain) }()
	ctx, post := telemetrytest.Request(t, tracer)
	go func() { done <- p.Publish(ctx, traced) }()
	require.Eventually(t, func() bool { return len(p.queue) == 2 }, 5*time.Second, time.Millisecond)
	p.senders.Go(p.sendAll)
	require.NoError(t, <-done)
	require.NoError(t, <-done)
	post.End(nil)
	close(p.queue)
	p.senders.Wait()
	p.link.calls.Wait()

	create, send := spans.One("create T"), spans.One("send T")
	require.True(t, create.Inside(spans.One("POST /")))
	require.True(t, send.Inside(create))
	require.True(t, send.LinkedWith(create))
	require.EqualValues(t, 2, send.Attrs["messaging.batch.message_count"])
	require.Len(t, fake.sent, 1)
	sc := create.SpanContext
	carried := "traceparent\x0100-" + sc.TraceID().String() + "-" + sc.SpanID().String() + "-01\x02"
	require.Contains(t, string(fake.sent[0]), "UNIQ_KEY\x012002\x02"+carried)
	require.Contains(t, string(fake.sent[0]), "UNIQ_KEY\x011001\x02")
	require.NotContains(t, string(fake.sent[0]), "UNIQ_KEY\x011001\x02trace")
}
