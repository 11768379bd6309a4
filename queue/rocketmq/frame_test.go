package rocketmq

import (
	"encoding/binary"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/stretchr/testify/require"

	"seckill/order"
	"seckill/queue"
)

func testSigner(t *testing.T) *order.Signer {
	t.Helper()
	s, err := order.NewSigner("T", make([]byte, 32))
	require.NoError(t, err)
	return s
}

func TestABatchIsWhatTheClientWouldMakeOfIt(t *testing.T) {
	t.Parallel()
	signer := testSigner(t)
	var ours []byte
	var theirs []*primitive.Message
	for i := range 3 {
		o := order.Order{ID: order.ID(1000 + i), SaleID: 5, ShopperID: "shopper", Quantity: 2, Reference: "r"}
		ours = appendOrder(ours, signer, o, "")
		m := primitive.NewMessage("T", signer.Append(nil, o))
		m.WithProperty(primitive.PropertyUniqueClientMessageIdKeyIndex, o.ID.String())
		theirs = append(theirs, m)
	}
	require.Equal(t, producer.MarshalMessageBatch(theirs...), ours)
}

func TestATracedOrderTakesItsTraceAlong(t *testing.T) {
	t.Parallel()
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	o := order.Order{ID: 1001, SaleID: 5, ShopperID: "shopper", Quantity: 2}
	signer := testSigner(t)
	plain, traced := appendOrder(nil, signer, o, ""), appendOrder(nil, signer, o, trace)
	m := &primitive.Message{}
	m.WithProperty(primitive.PropertyUniqueClientMessageIdKeyIndex, "1001")
	key := len(m.MarshallProperties())
	m.WithProperty("traceparent", trace)
	properties := traced[len(plain)-key:]
	require.Len(t, properties, len(m.MarshallProperties()))
	require.Equal(t, plain[len(plain)-key:], properties[:key], "the order's ID as ever")
	require.Equal(t, "traceparent\x01"+trace+"\x02", string(properties[key:]))
	require.Equal(t, len(traced), int(binary.BigEndian.Uint32(traced)), "the size of the whole")
	require.Equal(t, len(properties), int(binary.BigEndian.Uint16(traced[len(plain)-key-2:])), "the size of the properties")
}

func TestThePickerStaysAtAQueueForAWhileAndPassesOverABrokerThatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPicker()
		queues := []*primitive.MessageQueue{
			{BrokerName: "a", QueueId: 0}, {BrokerName: "a", QueueId: 1}, {BrokerName: "b", QueueId: 0},
		}
		pick := func() string {
			m := batchMessage("T", nil)
			q := p.Select(m, queues, "")
			require.Equal(t, *q, *m.Queue, "the sender must learn what was chosen")
			return fmt.Sprint(q.BrokerName, q.QueueId)
		}
		picked := func() (places []string) {
			for range 6 {
				places = append(places, pick())
				time.Sleep(stay / 2)
				require.Equal(t, places[len(places)-1], pick())
				time.Sleep(stay / 2)
			}
			return places
		}
		require.ElementsMatch(t, []string{"a0", "a0", "a1", "a1", "b0", "b0"}, picked())
		p.shun("a")
		require.Equal(t, []string{"b0", "b0", "b0", "b0", "b0", "b0"}, picked())
		p.shun("b")
		require.Len(t, picked(), 6, "any is better than none")
		require.Nil(t, p.Select(batchMessage("T", nil), nil, ""))
	})
}

func TestAnEventIsFoundByItsOrderAndFilteredByItsStatus(t *testing.T) {
	t.Parallel()
	m := queue.EventMessage{ID: "5-2-1000", OrderID: 1000, Status: order.StatusPaid, Body: []byte(`{"specversion":"1.0"}`)}
	want := primitive.NewMessage("T", m.Body)
	want.WithProperty(primitive.PropertyUniqueClientMessageIdKeyIndex, "5-2-1000")
	ours := appendEvent(nil, m)
	properties := "KEYS\x011000\x02TAGS\x01paid\x02CE_contenttype\x01application/cloudevents+json\x02"
	theirs := producer.MarshalMessageBatch(want)
	require.Len(t, ours, len(theirs)+len(properties))
	require.Equal(t, properties, string(ours[len(theirs):]))
	require.Equal(t, theirs[20:20+len(m.Body)], ours[20:20+len(m.Body)])
}

func TestEventsOfAllOrdersAreSpreadOverTheQueues(t *testing.T) {
	t.Parallel()
	ids := order.NewIDMaker(7)
	count := make([]int, 8)
	for range 8000 {
		id, err := ids.Next()
		require.NoError(t, err)
		count[queueOf(id, len(count))]++
	}
	for _, n := range count {
		require.InDelta(t, 1000, n, 300, "%v", count)
	}
	for i := range 8 { // one order a millisecond, as a quiet sale has them
		clear(count)
		for k := range 800 {
			count[queueOf(order.ID(int64(k+i*1000)<<22|5<<9), len(count))]++
		}
		for _, n := range count {
			require.InDelta(t, 100, n, 30, "%v", count)
		}
	}
}

func TestAMessageThatNamesItsQueueGoesThereOrNowhere(t *testing.T) {
	t.Parallel()
	p := newPicker()
	queues := []*primitive.MessageQueue{{BrokerName: "a", QueueId: 0}, {BrokerName: "a", QueueId: 1}}
	p.shun("a")
	m := batchMessage("T", nil)
	m.Queue.BrokerName, m.Queue.QueueId = "a", 1
	for range 3 {
		require.Same(t, queues[1], p.Select(m, queues, ""))
	}
	m.Queue.BrokerName = "b"
	require.Nil(t, p.Select(m, queues, ""))
}
