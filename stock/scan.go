package stock

import (
	"context"
	"fmt"
	"time"
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
	for i := 0; i+1 < len(kvs); i += 2 {
		of, err := parseEntries(saleID, kvs[i], kvs[i+1])
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

// Claim reports whether this caller may do a kind of work on a sale for the time
// of ttl. It saves work: nothing breaks when two processes do the same.
func (l *Ledger) Claim(ctx context.Context, saleID int64, work string, ttl time.Duration) (bool, error) {
	got, err := l.rdb.SetNX(ctx, keysOf(saleID).claim(work), "1", ttl).Result()
	if err != nil {
		return false, fmt.Errorf("claim %s of sale %d: %w", work, saleID, err)
	}
	return got, nil
}

// Release ends a claim early.
func (l *Ledger) Release(ctx context.Context, saleID int64, work string) error {
	if err := l.rdb.Unlink(ctx, keysOf(saleID).claim(work)).Err(); err != nil {
		return fmt.Errorf("release %s of sale %d: %w", work, saleID, err)
	}
	return nil
}

// Keep extends a claim by another ttl, for work that takes longer.
func (l *Ledger) Keep(ctx context.Context, saleID int64, work string, ttl time.Duration) error {
	if err := l.rdb.Set(ctx, keysOf(saleID).claim(work), "1", ttl).Err(); err != nil {
		return fmt.Errorf("keep %s of sale %d: %w", work, saleID, err)
	}
	return nil
}
