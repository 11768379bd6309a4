package stock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
)

func TestTheTimeOfRedisHasMicroseconds(t *testing.T) {
	t.Parallel()
	m, err := readMeta([]any{[]any{"1700000000", "123456"}, nil, make([]any, len(metaFields))})
	require.NoError(t, err)
	require.Equal(t, Meta{Now: time.Unix(1700000000, 123456000).UTC()}, m)
}

// Clocks differ: what the lease says and what the ID says of a reservation.
func TestAnOrderIsReservedAtTheEarlierOfItsTimes(t *testing.T) {
	t.Parallel()
	id, err := order.NewIDMaker(1).Next()
	require.NoError(t, err)
	for ahead, want := range map[time.Duration]time.Duration{-time.Second: -time.Second, time.Second: 0, time.Hour: 0} {
		due := strconv.FormatInt(id.Time().Add(ahead+lease).UnixMilli(), 10)
		require.Equal(t, id.Time().Add(want), reservedAt(due+","+id.String()+",ann"))
	}
	require.Zero(t, reservedAt(""))
}

func TestAnErrorIsAboutASaleOnlyIfAllOfItIs(t *testing.T) {
	t.Parallel()
	reply := func(text string) error { return proto(text) }
	about := []error{ErrNotLoaded, errReply, reply("TRYAGAIN Multiple keys request during rehashing of slot"), reply("WRONGTYPE Operation against a key"), reply("ERR user_script:5: attempt to compare nil")}
	server := []error{
		context.DeadlineExceeded, io.EOF, reply("OOM command not allowed"), reply("READONLY You can't write"), reply("NOPERM this user"),
		reply("LOADING Redis is loading"), reply("CLUSTERDOWN The cluster is down"), reply("ERR max number of clients reached"), ErrUnavailable,
	}
	for _, err := range about {
		require.True(t, AboutSale(fmt.Errorf("apply to sale 1: %w", err)), err)
		require.True(t, AboutSale(errors.Join(err, errReply)), err)
		for _, fault := range server {
			require.False(t, AboutSale(fmt.Errorf("x: %w", errors.Join(err, fault))), fault)
		}
	}
	for _, err := range server {
		require.False(t, AboutSale(err), err)
		require.False(t, AboutSale(fmt.Errorf("apply to sale 1: %w", err)), err)
	}
	require.False(t, AboutSale(nil))
}

// proto is an error that a server answered.
type proto string

func (p proto) Error() string { return string(p) }
func (proto) RedisError()     {}
