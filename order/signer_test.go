package order_test

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/order"
)

func newSigner(tb testing.TB, topic string, keys ...byte) *order.Signer {
	tb.Helper()
	var long [][]byte
	for _, k := range keys {
		long = append(long, bytes.Repeat([]byte{k}, 32))
	}
	s, err := order.NewSigner(topic, long...)
	require.NoError(tb, err)
	return s
}

func TestASignedMessageIsReadWithAnyOfTheKeys(t *testing.T) {
	t.Parallel()
	for _, o := range []order.Order{smallest(), largest()} {
		before := newSigner(t, "T", 'a').Append([]byte("what was there"), o)
		body, ours := bytes.CutPrefix(before, []byte("what was there"))
		require.True(t, ours)
		for _, s := range []*order.Signer{newSigner(t, "T", 'a'), newSigner(t, "T", 'b', 'a'), newSigner(t, "T", 'a', 'b')} {
			got, err := s.Decode(body)
			require.NoError(t, err)
			require.Equal(t, o, got)
		}
		old, err := order.DecodeMessage(body)
		require.NoError(t, err, "a version without keys reads it")
		require.Equal(t, o, old)
	}
}

func TestASignedMessageStaysAsOlderVersionsSignIt(t *testing.T) {
	t.Parallel()
	require.Equal(t, "010000000000000001000000000000000100000000000000000000000001012100b589c34a116b5d5a9d97635960f6825c",
		hex.EncodeToString(newSigner(t, "T", 'a', 'b').Append(nil, smallest())))
}

func TestAMessageThatNobodySignedIsNoOrder(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "T", 'a')
	body := s.Append(nil, smallest())
	refused := func(why error, body []byte, what string) {
		t.Helper()
		o, err := s.Decode(body)
		require.ErrorIs(t, err, why, what)
		require.Zero(t, o, what)
	}
	refused(order.ErrUnsigned, order.AppendMessage(nil, smallest()), "as before there were keys")
	refused(order.ErrBadMAC, newSigner(t, "T", 'b').Append(nil, smallest()), "another key")
	refused(order.ErrBadMAC, newSigner(t, "T2", 'a').Append(nil, smallest()), "another topic")
	refused(order.ErrBadMAC, append(order.AppendMessage(nil, largest()), body[len(body)-16:]...), "another order's MAC")
	refused(order.ErrBadMAC, append(order.AppendMessage(nil, smallest()), make([]byte, 16)...), "zeros")
	refused(order.ErrBadMAC, append(bytes.Clone(body), 0), "something after the MAC")
	refused(order.ErrBadMAC, []byte{2}, "a version that signs")
	refused(order.ErrBadMAC, append([]byte{0x1f}, body...), "a version that signs")
	for _, text := range []string{"", "\x00", "{}", "\xff", string(body[len(body)-16:])} {
		refused(order.ErrMalformed, []byte(text), text)
	}
	for i := range body {
		for bit := range 8 {
			changed := bytes.Clone(body)
			changed[i] ^= 1 << bit
			_, err := s.Decode(changed)
			require.Error(t, err, "byte %d, bit %d", i, bit)
			require.NotErrorIs(t, err, order.ErrNewerVersion, "byte %d, bit %d", i, bit)
		}
		_, err := s.Decode(body[:i])
		require.Error(t, err, "cut to %d bytes", i)
	}
}

// What a later version signs is known to be its.
func TestANewerVersionIsBelievedUnderAMAC(t *testing.T) {
	t.Parallel()
	for key, want := range map[byte]error{'a': order.ErrNewerVersion, 'b': order.ErrBadMAC} {
		_, err := newSigner(t, "T", key).Decode(order.SignForTest([]byte{2, 1, 2, 3}, "T", bytes.Repeat([]byte{'a'}, 32)))
		require.ErrorIs(t, err, want)
	}
}

func TestASignerRefusesShortKeys(t *testing.T) {
	t.Parallel()
	_, err := order.NewSigner("T")
	require.Error(t, err)
	_, err = order.NewSigner("T", bytes.Repeat([]byte{'a'}, 32), []byte("short"))
	require.Error(t, err)
}

func FuzzSignedMessage(f *testing.F) {
	s := newSigner(f, "T", 'a', 'b')
	f.Add(s.Append(nil, smallest()))
	f.Add(order.AppendMessage(nil, largest()))
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, body []byte) {
		o, err := s.Decode(body)
		if err != nil {
			require.NotErrorIs(t, err, order.ErrNewerVersion, "it has no MAC of ours")
			return
		}
		require.Equal(t, s.Append(nil, o), body, "only what was signed is read")
	})
}

func BenchmarkSignMessage(b *testing.B) {
	s, o, buf := newSigner(b, "T", 'a'), order.Order{ID: 1 << 60, SaleID: 1 << 60, ShopperID: "shopper-1234567", Quantity: 1, Key: 1}, []byte(nil)
	b.ReportAllocs()
	for b.Loop() {
		buf = s.Append(buf[:0], o)
	}
}

func BenchmarkReadSignedMessage(b *testing.B) {
	s := newSigner(b, "T", 'a')
	body := s.Append(nil, order.Order{ID: 1 << 60, SaleID: 1 << 60, ShopperID: "shopper-1234567", Quantity: 1, Key: 1})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Decode(body); err != nil {
			b.Fatal(err)
		}
	}
}
