package order_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"seckill/order"
)

func newSealer(tb testing.TB, keys ...byte) *order.Sealer {
	tb.Helper()
	var long [][]byte
	for _, k := range keys {
		long = append(long, bytes.Repeat([]byte{k}, 32))
	}
	s, err := order.NewSealer(long...)
	require.NoError(tb, err)
	return s
}

func TestAPublicIDOpensForItsShopperOnly(t *testing.T) {
	t.Parallel()
	s := newSealer(t, 'a')
	public := s.Seal(77, 5, "Abc")
	require.Len(t, public, 32)
	id, sale, err := s.Open(public, "Abc")
	require.NoError(t, err)
	require.Equal(t, order.ID(77), id)
	require.Equal(t, int64(5), sale)
	id, err = order.PeekPublicID(public)
	require.NoError(t, err)
	require.Equal(t, order.ID(77), id)
	_, err = order.PeekPublicID(s.Seal(0, 5, "Abc"))
	require.ErrorIs(t, err, order.ErrForged, "no order has that ID")
	for _, other := range []string{"abc", "Abc ", "", "ÀBC"} {
		_, _, err := s.Open(public, other)
		require.ErrorIs(t, err, order.ErrForged)
	}
}

func TestAPublicIDThatWasChangedIsForged(t *testing.T) {
	t.Parallel()
	s := newSealer(t, 'a')
	public := s.Seal(1<<62, 5, "shopper")
	for i := range len(public) {
		for _, c := range "AB_-=+/ \x00" {
			if forged := public[:i] + string(c) + public[i+1:]; forged != public {
				_, _, err := s.Open(forged, "shopper")
				require.ErrorIs(t, err, order.ErrForged, forged)
			}
		}
	}
	for _, forged := range []string{"", "\n" + public[1:], public[:16] + "\r\n" + public[18:], strings.Repeat("\n", 32), public[:31], public + "A", strings.Repeat("A", 32), strings.ToLower(public)} {
		_, _, err := s.Open(forged, "shopper")
		require.ErrorIs(t, err, order.ErrForged, forged)
	}
}

func TestKeysCanBeRotated(t *testing.T) {
	t.Parallel()
	old, both, next := newSealer(t, 'a'), newSealer(t, 'b', 'a'), newSealer(t, 'b')
	_, _, err := both.Open(old.Seal(1, 2, "s"), "s")
	require.NoError(t, err)
	_, _, err = next.Open(both.Seal(1, 2, "s"), "s")
	require.NoError(t, err)
	_, _, err = next.Open(old.Seal(1, 2, "s"), "s")
	require.ErrorIs(t, err, order.ErrForged)
}

func TestShortSealingKeysAreRefused(t *testing.T) {
	t.Parallel()
	_, err := order.NewSealer()
	require.Error(t, err)
	_, err = order.NewSealer(make([]byte, 32), make([]byte, 31))
	require.Error(t, err)
}

func TestAKeyDigestIsNeverTheOneOfNoKey(t *testing.T) {
	t.Parallel()
	require.NotZero(t, order.KeyDigest(""))
	require.NotEqual(t, order.KeyDigest("a"), order.KeyDigest("b"))
	require.Equal(t, uint64(0xca978112ca1bbdca), order.KeyDigest("a"), "it is stored: every version must compute the same")
}

// What opens is what was sealed, to the letter: an order has one public ID.
func FuzzPublicID(f *testing.F) {
	s := newSealer(f, 'a', 'b')
	old := newSealer(f, 'b')
	for _, public := range []string{s.Seal(77, 5, "shopper"), old.Seal(1<<62, 1, "shopper"), s.Seal(1, 1, "another"), "", strings.Repeat("A", 32), strings.Repeat("_", 32), strings.Repeat("=", 32)} {
		f.Add(public, "shopper")
	}
	f.Fuzz(func(t *testing.T, public, shopper string) {
		id, sale, err := s.Open(public, shopper)
		peeked, peekErr := order.PeekPublicID(public)
		if err != nil {
			require.ErrorIs(t, err, order.ErrForged)
			require.Zero(t, id)
			require.Zero(t, sale)
			return
		}
		require.Contains(t, []string{s.Seal(id, sale, shopper), old.Seal(id, sale, shopper)}, public)
		if id > 0 {
			require.NoError(t, peekErr)
			require.Equal(t, id, peeked)
		}
	})
}
