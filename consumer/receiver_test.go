package consumer_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
	"seckill/queue"
	"seckill/queue/queuetest"
)

func plain(id int64) order.Order {
	return order.Order{ID: order.ID(id), SaleID: 1, ShopperID: "s", Quantity: 1}
}

// newerMessage is what a later version signs: its fields are its own, its MAC is ours.
func newerMessage(t *testing.T, id string, storedAt time.Time) queue.Message {
	t.Helper()
	return queue.Message{ID: id, Body: queuetest.Signed([]byte("\x02what this version cannot read")), StoredAt: storedAt}
}

// refusals are the values of seckill_messages_refused_total, and how many were dropped.
func (r *rig) refusals(t *testing.T) (by map[string]int, dropped int) {
	t.Helper()
	by = observed(t, r.metrics, "seckill_messages_refused_total")
	for reason, n := range by {
		if n == 0 {
			delete(by, reason)
		}
	}
	return by, observed(t, r.metrics, "seckill_messages_dropped_total")[""]
}

func TestWhatNoAPISignedIsRefusedAndItsNeighboursSettle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 1, nil)
		defer r.stop()
		unsigned := order.AppendMessage(nil, plain(77))
		other, err := order.NewSigner("T", bytes.Repeat([]byte{'k'}, 32))
		require.NoError(t, err)
		ms := append(delivery(1, 2),
			queue.Message{ID: "not-ours", Body: []byte("{")}, queue.Message{ID: "76", Body: nil},
			queue.Message{ID: "77", Body: unsigned}, queue.Message{ID: "78", Body: other.Append(nil, plain(78))},
			queue.Message{ID: "79", Body: []byte{2}, StoredAt: time.Now()}, queue.Message{ID: strings.Repeat("x", 1000), Body: make([]byte, 1<<20)})
		require.NoError(t, r.receiver.Handle(t.Context(), ms))
		require.Equal(t, 2, r.mysql.settled())
		var reasons []string
		for _, d := range r.mysql.dead {
			reasons = append(reasons, fmt.Sprint(d.MessageID[:min(8, len(d.MessageID))], " ", d.OrderID, " ", d.Reason))
			require.False(t, d.IsVerdict(), "it says nothing of the order")
			require.LessOrEqual(t, len(d.Body), 4<<10)
			require.LessOrEqual(t, len(d.MessageID), 128)
		}
		require.Equal(t, []string{"not-ours 0 unreadable", "76 76 unreadable", "77 77 unsigned", "78 78 forged", "79 79 forged", "xxxxxxxx 0 unreadable"}, reasons)
		by, dropped := r.refusals(t)
		require.Equal(t, map[string]int{"unreadable": 3, "unsigned": 1, "forged": 2}, by)
		require.Zero(t, dropped)
	})
}

func TestUnsignedMessagesAreOrdersUntilTheTimeThatIsSetForIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 1, func(r *rig) { r.unsignedUntil = time.Now().Add(time.Hour) })
		defer r.stop()
		old := queue.Message{ID: "77", Body: order.AppendMessage(nil, plain(77))}
		require.NoError(t, r.receiver.Handle(t.Context(), []queue.Message{old}))
		require.Equal(t, 1, r.mysql.settled())
		wrong := queue.Message{ID: "78", Body: append(order.AppendMessage(nil, plain(78)), make([]byte, 16)...)}
		require.NoError(t, r.receiver.Handle(t.Context(), []queue.Message{wrong, {ID: "79", Body: []byte{2}, StoredAt: time.Now()}}))
		require.Len(t, r.mysql.dead, 2, "a wrong MAC is wrong at any time")
		time.Sleep(time.Hour)
		require.NoError(t, r.receiver.Handle(t.Context(), []queue.Message{old}))
		require.Equal(t, 1, r.mysql.settled())
		require.Len(t, r.mysql.dead, 3)
	})
}

func TestAMessageOfANewerVersionWaitsForANewerConsumerAndNotForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 1, nil)
		defer r.stop()
		ms := append(delivery(1, 2), newerMessage(t, "9", time.Now()))
		for range 10 {
			require.ErrorIs(t, r.receiver.Handle(t.Context(), ms), order.ErrNewerVersion)
			require.Empty(t, r.mysql.dead)
			time.Sleep(time.Minute - time.Second)
		}
		require.GreaterOrEqual(t, r.mysql.settled(), 2, "its neighbours do not wait with it")
		time.Sleep(10 * time.Second)
		require.NoError(t, r.receiver.Handle(t.Context(), ms))
		require.Len(t, r.mysql.dead, 1)
		require.Equal(t, "newer", r.mysql.dead[0].Reason)

		for name, at := range map[string]time.Time{"never": {}, "tomorrow": time.Now().Add(24 * time.Hour)} {
			require.NoError(t, r.receiver.Handle(t.Context(), []queue.Message{newerMessage(t, name, at)}), "a broker's clock is no reason to wait for ever")
		}
	})
}

func TestAFloodOfForgedMessagesIsCountedAndKeptInPart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 1, nil)
		defer r.stop()
		flood := func(n int) {
			t.Helper()
			ms := make([]queue.Message, n)
			for i := range ms {
				ms[i] = queue.Message{ID: fmt.Sprint("forged-", i), Body: order.AppendMessage(nil, plain(int64(1+i)))}
			}
			require.NoError(t, r.receiver.Handle(t.Context(), ms))
		}
		flood(1000)
		require.Len(t, r.mysql.dead, 100)
		by, dropped := r.refusals(t)
		require.Equal(t, map[string]int{"unsigned": 1000}, by)
		require.Equal(t, 900, dropped)
		time.Sleep(10 * time.Second)
		flood(1000)
		require.Len(t, r.mysql.dead, 110)
		r.mysql.full.Store(true)
		time.Sleep(10 * time.Second)
		flood(5)
		require.Len(t, r.mysql.dead, 110)
		_, dropped = r.refusals(t)
		require.Equal(t, 900+990+5, dropped)
		require.Zero(t, r.mysql.settled())
	})
}

func TestARefusedMessageIsNotAcknowledgedWhileMySQLIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 1, func(r *rig) { r.mysql.down.Store(true) })
		defer r.stop()
		require.ErrorIs(t, r.receiver.Handle(t.Context(), []queue.Message{{ID: "x"}}), errDown)
		by, _ := r.refusals(t)
		require.Empty(t, by, "it comes again")
	})
}

// Whatever somebody writes to the topic, the queue moves on, and settles what is signed.
func FuzzDelivery(f *testing.F) {
	signed := message(7)
	f.Add(signed.ID, signed.Body)
	f.Add("8", order.AppendMessage(nil, plain(8)))
	f.Add("", []byte{2})
	f.Add("\xff\x00/..", bytes.Repeat([]byte{1}, 5000))
	f.Fuzz(func(t *testing.T, id string, body []byte) {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, 1, nil)
			defer r.stop()
			require.NoError(t, r.receiver.Handle(t.Context(), append(delivery(1, 1), queue.Message{ID: id, Body: body, StoredAt: time.Now()})))
			_, err := queuetest.Signer().Decode(body)
			if err == nil {
				require.Equal(t, 2, r.mysql.settled())
				return
			}
			require.Equal(t, 1, r.mysql.settled())
			require.Len(t, r.mysql.dead, 1)
		})
	})
}
