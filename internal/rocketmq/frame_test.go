package rocketmq

import (
	"testing"

	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/stretchr/testify/require"

	"seckill/order"
)

func TestABatchIsWhatTheClientWouldMakeOfIt(t *testing.T) {
	t.Parallel()
	var ours []byte
	var theirs []*primitive.Message
	for i := range 3 {
		o := order.Order{ID: order.ID(1000 + i), SaleID: 5, ShopperID: "shopper", Quantity: 2, Reference: "r"}
		ours = appendOrder(ours, o)
		m := primitive.NewMessage("T", order.AppendMessage(nil, o))
		m.WithProperty(primitive.PropertyUniqueClientMessageIdKeyIndex, o.ID.String())
		theirs = append(theirs, m)
	}
	require.Equal(t, producer.MarshalMessageBatch(theirs...), ours)
}

func TestThePickerPassesOverABrokerThatIsAwayWhileThereIsAnother(t *testing.T) {
	t.Parallel()
	p := newPicker()
	queues := []*primitive.MessageQueue{
		{BrokerName: "a", QueueId: 0}, {BrokerName: "a", QueueId: 1}, {BrokerName: "b", QueueId: 0},
	}
	picked := func() (brokers []string) {
		for range 6 {
			m := batchMessage("T", nil)
			q := p.Select(m, queues, "")
			require.Equal(t, *q, *m.Queue, "the sender must learn what was chosen")
			brokers = append(brokers, q.BrokerName)
		}
		return brokers
	}
	require.ElementsMatch(t, []string{"a", "a", "a", "a", "b", "b"}, picked())
	p.shun("a")
	require.Equal(t, []string{"b", "b", "b", "b", "b", "b"}, picked())
	p.shun("b")
	require.Len(t, picked(), 6, "any is better than none")
	require.Nil(t, p.Select(batchMessage("T", nil), nil, ""))
}
