package stock

import (
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
