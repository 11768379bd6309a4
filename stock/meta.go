package stock

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"seckill/order"
)

// Meta is what Redis says of a sale as a whole. If it is not loaded, all but
// Now is zero.
type Meta struct {
	Loaded    bool
	State     order.SaleState
	StartsAt  time.Time
	EndsAt    time.Time
	Total     int64 // units; always available + pending + settled
	Available int64 // below 0 while more is committed than was reserved
	Pending   int64 // units reserved without a verdict
	Settled   int64 // units of confirmed and paid orders
	Epoch     uint64
	Applied   uint64 // the cursor: the last change in line that Redis knows
	// Now is the time of Redis when it was asked.
	Now time.Time
	// OldestPending is when the order first in line for the sweeper was made;
	// zero when nothing is pending. Orders that got their verdict may still
	// stand before it for as long as no sweeper runs.
	OldestPending time.Time
	// Err is why this sale could not be read, where others could.
	Err error
}

// metaFields are read in the order of readMeta.
var metaFields = []string{
	"state", "starts", "ends", "total", "available", "pending", "settled", "epoch", "applied",
}

// Metas reads many sales in one pipeline, in the order given. With an error,
// those that could be read have no Err.
func (l *Ledger) Metas(ctx context.Context, saleIDs []int64) ([]Meta, error) {
	if len(saleIDs) == 0 {
		return nil, nil
	}
	p := l.rdb.Pipeline()
	clock := p.Time(ctx)
	fields := make([]*redis.SliceCmd, len(saleIDs))
	heads := make([]*redis.StringCmd, len(saleIDs))
	for i, id := range saleIDs {
		k := keysOf(id)
		fields[i] = p.HMGet(ctx, k.meta, metaFields...)
		heads[i] = p.LIndex(ctx, k.due, 0)
	}
	_, _ = p.Exec(ctx) // each command carries its own error
	ms := make([]Meta, len(saleIDs))
	var failed error
	for i := range ms {
		err := errors.Join(clock.Err(), fields[i].Err())
		if e := heads[i].Err(); !errors.Is(e, redis.Nil) {
			err = errors.Join(err, e)
		}
		if err != nil {
			ms[i].Err = fmt.Errorf("read sale %d: %w", saleIDs[i], err)
			failed = ms[i].Err
			continue
		}
		ms[i] = readMeta(fields[i].Val(), heads[i].Val())
		ms[i].Now = clock.Val().UTC()
	}
	return ms, failed
}

func readMeta(v []any, head string) Meta {
	if len(v) != len(metaFields) || v[0] == nil {
		return Meta{}
	}
	m := Meta{
		Loaded: true, State: order.SaleState(text(v[0])),
		StartsAt: time.UnixMilli(decimal(v[1])).UTC(), EndsAt: time.UnixMilli(decimal(v[2])).UTC(),
		Total: decimal(v[3]), Available: decimal(v[4]), Pending: decimal(v[5]), Settled: decimal(v[6]),
		Epoch: uint64(decimal(v[7])), Applied: uint64(decimal(v[8])),
	}
	if m.Pending > 0 {
		m.OldestPending = reservedAt(head)
	}
	return m
}

// reservedAt is when the order of an item <due ms>,<order ID>,<shopper> was
// reserved. A sweeper's claim dates the item anew, the ID stays.
func reservedAt(item string) time.Time {
	due, rest, _ := strings.Cut(item, ",")
	id, _, _ := strings.Cut(rest, ",")
	n, err := order.ParseID(id)
	if err != nil {
		return time.Time{}
	}
	at := time.UnixMilli(decimal(due)).Add(-lease).UTC()
	if made := n.Time(); made.Before(at) {
		return made
	}
	return at
}

// decimal is a number as Redis keeps it; 0 for none.
func decimal(v any) int64 {
	n, _ := strconv.ParseInt(text(v), 10, 64)
	return n
}
