package rocketmq

import (
	"bytes"
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"

	client "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/stretchr/testify/require"

	"seckill/order"
)

// stuckOnce is a producer whose first send hangs and goes on reading its
// message; every other one is stored.
type stuckOnce struct {
	client.Producer
	first atomic.Pointer[primitive.Message]
	free  chan struct{}
}

func (s *stuckOnce) SendSync(_ context.Context, ms ...*primitive.Message) (*primitive.SendResult, error) {
	if s.first.CompareAndSwap(nil, ms[0]) { // tries come from goroutines of their own
		<-s.free
	}
	return &primitive.SendResult{Status: primitive.SendOK}, nil
}

func TestABatchThatAStuckTryStillReadsIsNeverWrittenAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opts, err := Options{NameServers: []string{"127.0.0.1:1"}, Topic: "t", Group: "g", Log: slog.New(slog.DiscardHandler)}.checked()
		require.NoError(t, err)
		fake := &stuckOnce{free: make(chan struct{})}
		p := newPublisher(opts, PublisherOptions{Signer: testSigner(t)})
		p.link.cur.Store(&connection{client: fake})
		p.senders.Go(p.sendAll)

		alice := order.Order{ID: 1001, SaleID: 1, ShopperID: "alice", Quantity: 1}
		bobby := order.Order{ID: 2002, SaleID: 1, ShopperID: "bobby", Quantity: 1}
		require.NoError(t, p.Publish(t.Context(), alice), "its second try is stored")
		was := bytes.Clone(fake.first.Load().Body)
		require.NoError(t, p.Publish(t.Context(), bobby))
		require.Equal(t, was, fake.first.Load().Body)
		close(fake.free)
		close(p.queue)
		p.senders.Wait()
		p.link.calls.Wait()
	})
}
