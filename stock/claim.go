package stock

import (
	"context"
	"fmt"
	"time"
)

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
