package stock

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"seckill/order"
)

// AllSales is passed to onSale of Listen when messages may have been lost.
// Announcing it makes every catalog read all sales again, from both stores.
const AllSales int64 = 0

// idsAtOnce bounds a message of results to 2 KB: 8 bytes for the sale and for
// each order.
const idsAtOnce = 256

// Announce tells every process that a sale has changed.
func (l *Ledger) Announce(ctx context.Context, saleID int64) error {
	if err := l.rdb.Publish(ctx, salesChannel, strconv.FormatInt(saleID, 10)).Err(); err != nil {
		return fmt.Errorf("announce sale %d: %w", saleID, err)
	}
	return nil
}

func (l *Ledger) publish(ctx context.Context, n publication) error {
	p := l.rdb.Pipeline()
	for sale, ids := range n.results {
		for part := range slices.Chunk(ids, idsAtOnce) {
			p.Publish(ctx, resultsChannel, encodeResults(sale, part))
		}
	}
	for sale := range n.sales {
		p.Publish(ctx, salesChannel, strconv.FormatInt(sale, 10))
	}
	if p.Len() == 0 {
		return nil
	}
	if _, err := p.Exec(ctx); err != nil {
		return fmt.Errorf("publish results: %w", err)
	}
	return nil
}

func encodeResults(sale int64, ids []order.ID) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 8+8*len(ids)), uint64(sale))
	for _, id := range ids {
		b = binary.BigEndian.AppendUint64(b, uint64(id))
	}
	return b
}

func decodeResults(s string) (sale int64, ids []order.ID, ok bool) {
	b := []byte(s)
	if len(b) < 16 || len(b)%8 != 0 {
		return 0, nil, false
	}
	sale = int64(binary.BigEndian.Uint64(b))
	for b = b[8:]; len(b) > 0; b = b[8:] {
		ids = append(ids, order.ID(binary.BigEndian.Uint64(b)))
	}
	return sale, ids, true
}

// Listen calls onResult with orders whose result is known and onSale with sales
// that changed. It returns nil when ctx is done. Messages can be lost: whenever
// the subscription starts or is restored, onSale gets AllSales. The callbacks
// must not block. Either may be nil.
func (l *Ledger) Listen(ctx context.Context, onResult func(saleID int64, ids []order.ID), onSale func(saleID int64)) error {
	sub := l.rdb.Subscribe(ctx, resultsChannel, salesChannel)
	messages := sub.ChannelWithSubscriptions(redis.WithChannelSize(1_000))
	defer sub.Close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case m, ok := <-messages:
			if !ok {
				return errors.New("stock: subscription closed")
			}
			dispatch(m, onResult, onSale)
		}
	}
}

func dispatch(message any, onResult func(int64, []order.ID), onSale func(int64)) {
	switch m := message.(type) {
	case *redis.Subscription: // at the start and after each reconnect of go-redis
		if m.Channel == salesChannel && onSale != nil {
			onSale(AllSales)
		}
	case *redis.Message:
		switch m.Channel {
		case resultsChannel:
			if sale, ids, ok := decodeResults(m.Payload); ok && onResult != nil {
				onResult(sale, ids)
			}
		case salesChannel:
			if id, err := strconv.ParseInt(m.Payload, 10, 64); err == nil && onSale != nil {
				onSale(id)
			}
		}
	}
}
