package stock

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"seckill/order"
)

// Meta is the state of a sale in Redis. If the sale is not loaded, every field
// but Now is zero.
type Meta struct {
	Loaded    bool
	State     order.SaleState
	StartsAt  time.Time
	EndsAt    time.Time
	Total     int64 // units; always available + pending + settled
	Available int64 // negative while more is committed than was reserved
	Pending   int64 // reserved units without a verdict
	Settled   int64 // units of confirmed and paid orders
	Epoch     uint64
	Applied   uint64 // the cursor: the last change up to which Redis has everything
	// Now is the clock of the server that has the sale.
	Now time.Time
	// OldestPending is the time of the order that is first in line for the
	// sweeper; zero when nothing is pending. While no sweeper runs, decided orders
	// may still stand in front of the oldest pending one.
	OldestPending time.Time
	// Err is why this sale could not be read, even if others could.
	Err error
}

// metaFields are read in the order of readMeta.
var metaFields = []any{
	"state", "starts", "ends", "total", "available", "pending", "settled", "epoch", "applied",
}

// Metas reads many sales, in the given order. When it returns an error, the sales
// that could be read have no Err. It reads them in one pipeline, however many:
// with several, one node of a Cluster that hangs would take all the time of the
// first, and leave none for the sales on other nodes in the next.
func (l *Ledger) Metas(ctx context.Context, saleIDs []int64) ([]Meta, error) {
	calls := make([]call, len(saleIDs))
	for i, id := range saleIDs {
		k := keysOf(id)
		calls[i] = call{keys: []string{k.meta, k.due}, args: metaFields}
	}
	ms := make([]Meta, len(saleIDs))
	var failed error
	for i, cmd := range l.runPart(ctx, metaScript, calls) {
		out, err := reply(cmd)
		if err == nil {
			ms[i], err = readMeta(out)
		}
		if err != nil {
			ms[i].Err = fmt.Errorf("read sale %d: %w", saleIDs[i], err)
			failed = ms[i].Err
		}
	}
	return ms, failed
}

// readMeta reads the answer of meta.lua.
func readMeta(out []any) (Meta, error) {
	if len(out) != 3 {
		return Meta{}, fmt.Errorf("%w: %d values", errReply, len(out))
	}
	now, _ := out[0].([]any)
	v, _ := out[2].([]any)
	if len(now) != 2 || len(v) != len(metaFields) {
		return Meta{}, fmt.Errorf("%w: time of %d values, %d fields", errReply, len(now), len(v))
	}
	m := Meta{Now: time.Unix(decimal(now[0]), decimal(now[1])*1000).UTC()}
	if v[0] == nil {
		return m, nil
	}
	m.Loaded, m.State = true, order.SaleState(text(v[0]))
	m.StartsAt, m.EndsAt = time.UnixMilli(decimal(v[1])).UTC(), time.UnixMilli(decimal(v[2])).UTC()
	m.Total, m.Available, m.Pending, m.Settled = decimal(v[3]), decimal(v[4]), decimal(v[5]), decimal(v[6])
	m.Epoch, m.Applied = uint64(decimal(v[7])), uint64(decimal(v[8]))
	if m.Pending > 0 {
		m.OldestPending = reservedAt(text(out[1]))
	}
	return m, nil
}

// reservedAt returns when the order of an item <due ms>,<order ID>,<shopper> was
// reserved. A sweeper's claim gives the item a new due time; the ID stays.
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

// decimal parses a number as Redis stores it; 0 if there is none.
func decimal(v any) int64 {
	n, _ := strconv.ParseInt(text(v), 10, 64)
	return n
}
