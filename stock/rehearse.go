package stock

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"seckill/order"
)

// Errors of a rehearsal of which no command failed.
var (
	// ErrUnheard: a published message did not reach a subscriber.
	ErrUnheard = errors.New("stock: a message was published, and the subscriber did not get it")
	// ErrNotUndone: the units of a rejected reservation did not come back.
	ErrNotUndone = errors.New("stock: a reservation was not undone")
)

const (
	rehearsalTTL   = 30 * time.Second
	rehearsalUnits = 3 // more than the order has: neither end of the stock is reached, which would be announced

	// rehearsalTries bounds the search for a sale on each master: one with a hundredth of
	// the slots is found for sure, one without any never.
	rehearsalTries = 2000

	// hearWithin is how long a message may take to the subscriber.
	hearWithin = 2 * time.Second
)

// Rehearse does what an order does to Redis: a reservation by the script, its
// rejection, which gives the units back, and the result published and heard. On a
// Cluster, it does so on every master. It uses the scripts, key names and channels
// of sales with the ID of a sale that cannot be, and leaves nothing.
func (l *Ledger) Rehearse(ctx context.Context) error {
	sales, err := l.rehearsalSales(ctx)
	if err != nil {
		return fmt.Errorf("find the masters: %w", err)
	}
	for node, sale := range sales {
		if err := l.rehearse(ctx, sale); err != nil {
			if node != "" {
				return fmt.Errorf("master %s: %w", node, err)
			}
			return err
		}
	}
	return nil
}

func (l *Ledger) rehearse(ctx context.Context, sale int64) error {
	sub := l.rdb.Subscribe(ctx, resultsChannel, salesChannel)
	defer sub.Close()
	for range 2 { // one confirmation for each channel; else the error of SUBSCRIBE
		if _, err := sub.Receive(ctx); err != nil {
			return fmt.Errorf("subscribe: %w", err)
		}
	}
	k := keysOf(sale)
	defer l.rdb.Unlink(context.WithoutCancel(ctx), k.meta, k.orders, k.due) // at the latest, they expire
	o := order.Order{ID: order.ID(rand.Int64()), SaleID: sale, ShopperID: "rehearsal", Quantity: 1}
	if err := l.reserveAndUndo(ctx, k, o); err != nil {
		return err
	}
	// Not a sale: every version ignores it.
	if err := l.rdb.Publish(ctx, salesChannel, "rehearsal").Err(); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return hear(ctx, sub, o)
}

// reserveAndUndo reserves the order in a sale of its own, and rejects it, which also
// publishes its result.
func (l *Ledger) reserveAndUndo(ctx context.Context, k keys, o order.Order) error {
	fields := []any{
		rehearsalTTL.Milliseconds(), "state", string(order.SaleOpen), "starts", 0, "ends", int64(math.MaxInt32) * 1000, "limit", 1, "units", 1, "price", 0,
		"total", rehearsalUnits, "available", rehearsalUnits, "pending", 0, "settled", 0, "epoch", 0, "applied", 0,
	}
	if err := rehearseScript.Run(ctx, l.rdb, []string{k.meta, k.orders, k.due}, fields...).Err(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	rs, err := l.Reserve(ctx, o.SaleID, Purchases(o))
	if err == nil {
		err = rs[0].Err
	}
	if err != nil {
		return err
	}
	if err := l.Replay(ctx, []order.Verdict{{Order: o, Status: order.StatusRejected, Reason: order.ReasonVoid}}); err != nil {
		return err
	}
	left, err := l.rdb.HGet(ctx, k.meta, "available").Int()
	if err == nil && left != rehearsalUnits {
		err = fmt.Errorf("%w: %d of %d units available", ErrNotUndone, left, rehearsalUnits)
	}
	return err
}

// hear waits for the result of the order and for the message about sales.
func hear(ctx context.Context, sub *redis.PubSub, o order.Order) error {
	ctx, cancel := context.WithTimeout(ctx, hearWithin)
	defer cancel()
	for result, sale := false, false; !result || !sale; {
		m, err := sub.ReceiveMessage(ctx)
		switch {
		case ctx.Err() != nil, errors.Is(err, os.ErrDeadlineExceeded):
			return ErrUnheard
		case err != nil:
			return fmt.Errorf("hear: %w", err)
		case m.Channel == salesChannel:
			sale = sale || m.Payload == "rehearsal"
		default:
			of, ids, ok := decodeResults(m.Payload)
			result = result || ok && of == o.SaleID && ids[0] == o.ID
		}
	}
	return nil
}

// rehearsalSales returns a sale for each master of a Cluster that serves slots, by its
// address; else one, for "". IDs of sales are positive.
func (l *Ledger) rehearsalSales(ctx context.Context) (map[string]int64, error) {
	random := func() int64 { return -rand.Int64N(math.MaxInt64) - 1 }
	cluster, ok := l.rdb.(*redis.ClusterClient)
	if !ok {
		return map[string]int64{"": random()}, nil
	}
	var masters atomic.Int64
	if err := cluster.ForEachMaster(ctx, func(context.Context, *redis.Client) error { masters.Add(1); return nil }); err != nil {
		return nil, err
	}
	sales := map[string]int64{}
	for range rehearsalTries {
		id := random()
		c, err := cluster.MasterForKey(ctx, SlotKey(id))
		if err != nil {
			return nil, err
		}
		sales[c.Options().Addr] = id
		if int64(len(sales)) == masters.Load() {
			break
		}
	}
	return sales, nil
}
