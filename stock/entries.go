package stock

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"seckill/order"
)

// Scan returns a page of a sale's entries, of about count shoppers, and the
// cursor of the next page. Cursor 0 starts the scan and marks its end. An entry
// that exists throughout is returned at least once. A sale that is not loaded
// has none.
func (l *Ledger) Scan(ctx context.Context, saleID int64, cursor uint64, count int64) (es []Entry, next uint64, err error) {
	return l.scan(ctx, saleID, keysOf(saleID).orders, cursor, count)
}

func (l *Ledger) scan(ctx context.Context, saleID int64, key string, cursor uint64, count int64) (es []Entry, next uint64, err error) {
	kvs, next, err := l.rdb.HScan(ctx, key, cursor, "", count).Result()
	if err != nil {
		return nil, 0, fmt.Errorf("scan sale %d: %w", saleID, err)
	}
	for kv := range slices.Chunk(kvs, 2) {
		of, err := parseEntries(saleID, kv[0], kv[1])
		if err != nil {
			return nil, 0, fmt.Errorf("scan sale %d: %w", saleID, err)
		}
		es = append(es, of...)
	}
	return es, next, nil
}

// EntriesOf returns all entries of up to 1,000 shoppers of a sale, with one
// command.
func (l *Ledger) EntriesOf(ctx context.Context, saleID int64, shoppers []string) ([]Entry, error) {
	if len(shoppers) == 0 {
		return nil, nil
	}
	values, err := l.rdb.HMGet(ctx, keysOf(saleID).orders, shoppers...).Result()
	if err != nil {
		return nil, fmt.Errorf("read %d shoppers of sale %d: %w", len(shoppers), saleID, err)
	}
	var es []Entry
	for i, v := range values {
		if v == nil {
			continue
		}
		of, err := parseEntries(saleID, shoppers[i], text(v))
		if err != nil {
			return nil, fmt.Errorf("read a shopper of sale %d: %w", saleID, err)
		}
		es = append(es, of...)
	}
	return es, nil
}

// Entries returns a shopper's entries in a sale: the live ones and the last dead
// ones; none when the sale is not loaded.
func (l *Ledger) Entries(ctx context.Context, saleID int64, shopper string) ([]Entry, error) {
	value, err := l.rdb.HGet(ctx, keysOf(saleID).orders, shopper).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read entries in sale %d: %w", saleID, err)
	}
	return parseEntries(saleID, shopper, value)
}

// Returned returns how many orders of a sale a shopper has returned, as far as Redis
// knows.
func (l *Ledger) Returned(ctx context.Context, saleID int64, shopper string) (int, error) {
	value, err := l.rdb.HGet(ctx, keysOf(saleID).orders, shopper).Result()
	if errors.Is(err, redis.Nil) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read returns in sale %d: %w", saleID, err)
	}
	for text := range strings.SplitSeq(value, "\n") {
		e, err := parseEntry(saleID, shopper, text)
		if err != nil || e.ID == returnsID {
			return e.Quantity, err
		}
	}
	return 0, nil
}

// Entry returns the entry of one order; false when it is absent.
func (l *Ledger) Entry(ctx context.Context, saleID int64, shopper string, id order.ID) (Entry, bool, error) {
	es, err := l.Entries(ctx, saleID, shopper)
	for _, e := range es {
		if e.ID == id {
			return e, true, nil
		}
	}
	return Entry{}, false, err
}
