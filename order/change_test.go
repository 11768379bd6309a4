package order_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
)

func aChange() order.Change {
	c := order.Change{SaleID: 9, Seq: 7, Sale: &order.SaleEffect{
		Units: -5, State: order.SalePaused, StartsAt: time.UnixMilli(1_800_000_000_000).UTC(), EndsAt: time.UnixMilli(1_800_000_000_001).UTC(),
	}}
	for i, v := range []order.Verdict{
		{Status: order.StatusConfirmed},
		{Status: order.StatusRejected, Reason: order.ReasonSoldOut},
		{Status: order.StatusRejected, Reason: order.ReasonPurchaseLimit},
		{Status: order.StatusRejected, Reason: order.ReasonPoison},
		{Status: order.StatusRejected, Reason: order.ReasonVoid},
		{Status: order.StatusRejected, Reason: order.ReasonCollision},
		{Status: order.StatusPaid},
		{Status: order.StatusCancelled},
	} {
		v.Order = order.Order{ID: order.ID(1<<40 + i*i), SaleID: 9, ShopperID: fmt.Sprint("shopper-", i), Slot: i, Quantity: i, Key: uint64(i%2) * math.MaxUint64}
		v.Seq = 7
		c.Verdicts = append(c.Verdicts, v)
	}
	return c
}

func TestAChangeReadsAsItWasWritten(t *testing.T) {
	t.Parallel()
	c := aChange()
	body := order.EncodeChange(c)
	got, err := order.DecodeChange(9, 7, body, nil)
	require.NoError(t, err)
	require.Equal(t, c, got)
	c.Sale = nil
	got, err = order.DecodeChange(9, 7, order.EncodeChange(c), nil)
	require.NoError(t, err)
	require.Equal(t, c, got)
}

func TestAnOrderInAChangeTakesAboutTwentyBytes(t *testing.T) {
	t.Parallel()
	m := order.NewIDMaker(1)
	var c order.Change
	for range 256 {
		id, err := m.Next()
		require.NoError(t, err)
		c.Verdicts = append(c.Verdicts, order.Verdict{Order: order.Order{ID: id, ShopperID: "1234567890", Quantity: 1}, Status: order.StatusConfirmed})
	}
	require.Less(t, len(order.EncodeChange(c)), 256*20)
}

func TestADamagedChangeIsAnError(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "\x02", "\x01\x10", "\x01\x10\x02\x00", "\x01\x60\x02\x00\x01\x01a", "\x01\x50\x02\x00\x01\x01a", "\x01\x16\x02\x00\x01\x01a", "\x01\x17\x02\x00\x01\x01a", "\x01\xf6\x00\x00\x00", "\x01\xff\x00\x00\x00", "\x01\xf1\x00\x00"} {
		_, err := order.DecodeChange(1, 1, []byte(body), nil)
		require.ErrorIs(t, err, order.ErrBadChange, "%q", body)
	}
}

// The body is what the version before reads: it must find nothing new there.
func TestWhatWasReturnedStandsApartFromTheChange(t *testing.T) {
	t.Parallel()
	c := order.Change{SaleID: 9, Seq: 7}
	add := func(id order.ID, status order.Status, reason order.Reason, returned int) {
		o := order.Order{ID: id, SaleID: 9, ShopperID: "a", Quantity: 1}
		c.Verdicts = append(c.Verdicts, order.Verdict{Order: o, Status: status, Reason: reason, Seq: 7, Returned: returned})
	}
	add(1, order.StatusRejected, order.ReasonPurchaseLimit, 0)
	add(2, order.StatusCancelled, "", 300)
	add(3, order.StatusRejected, order.ReasonAttemptsUsed, 3)
	add(4, order.StatusConfirmed, "", 0)
	body, returned := order.EncodeChange(c), order.EncodeReturned(c)
	got, err := order.DecodeChange(9, 7, body, returned)
	require.NoError(t, err)
	require.Equal(t, c, got)
	before, err := order.DecodeChange(9, 7, body, nil)
	require.NoError(t, err)
	require.Equal(t, order.ReasonPurchaseLimit, before.Verdicts[2].Reason)
	c.Verdicts = c.Verdicts[3:]
	require.Nil(t, order.EncodeReturned(c))
	for _, bad := range []string{"\x04\x01", "\x01", "\x01\x00", "\x80", "\x01\x80\x80\x04"} {
		_, err := order.DecodeChange(9, 7, body, []byte(bad))
		require.ErrorIs(t, err, order.ErrBadChange, "%q", bad)
	}
}

func TestChangesGroupsFreshVerdictsBySaleAndSeq(t *testing.T) {
	t.Parallel()
	v := func(id order.ID, sale int64, seq uint64) order.Verdict {
		return order.Verdict{Order: order.Order{ID: id, SaleID: sale}, Seq: seq}
	}
	got := order.Changes([]order.Verdict{v(5, 2, 1), v(4, 1, 9), v(3, 1, 8), v(2, 1, 0), v(1, 1, 9)})
	require.Equal(t, []order.Change{
		{SaleID: 1, Seq: 8, Verdicts: []order.Verdict{v(3, 1, 8)}},
		{SaleID: 1, Seq: 9, Verdicts: []order.Verdict{v(1, 1, 9), v(4, 1, 9)}},
		{SaleID: 2, Seq: 1, Verdicts: []order.Verdict{v(5, 2, 1)}},
	}, got)
	require.Empty(t, order.Changes(nil))
}

func FuzzDecodeChange(f *testing.F) {
	f.Add(order.EncodeChange(aChange()))
	f.Add([]byte("\x01"))
	f.Add([]byte("\x01\xf1\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := order.DecodeChange(9, 7, body, nil)
		if err != nil {
			return
		}
		again, err := order.DecodeChange(9, 7, order.EncodeChange(c), nil)
		require.NoError(t, err)
		require.Equal(t, c, again)
	})
}

func BenchmarkEncodeChange(b *testing.B) {
	c := aChange()
	b.ReportAllocs()
	for b.Loop() {
		order.EncodeChange(c)
	}
}

func BenchmarkDecodeChange(b *testing.B) {
	body := order.EncodeChange(aChange())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := order.DecodeChange(9, 7, body, nil); err != nil {
			b.Fatal(err)
		}
	}
}
