package memory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"seckill/order"
)

// cursor is how far a sale's events are published, and the lease on publishing them.
type cursor struct {
	seq    uint64
	holder string
	until  time.Time
}

// EventsBehind is as in order/mysql.
func (s *Store) EventsBehind(ctx context.Context, closed bool, limit int) ([]order.EventCursor, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []order.EventCursor
	for id, sale := range s.sales {
		at := s.cursors[id]
		if sale.Seq <= at.seq || (sale.State == order.SaleClosed) != closed {
			continue
		}
		c := order.EventCursor{SaleID: id, Seq: at.seq, Last: sale.Seq, Age: time.Since(s.changedAt[id][at.seq])}
		if time.Now().Before(at.until) {
			c.Holder = at.holder
		}
		found = append(found, c)
	}
	slices.SortFunc(found, func(a, b order.EventCursor) int { return cmp.Compare(b.SaleID, a.SaleID) })
	return found[:min(len(found), limit)], nil
}

// HoldEvents is as in order/mysql.
func (s *Store) HoldEvents(_ context.Context, saleID int64, holder string, lease time.Duration) (seq uint64, held bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.cursors[saleID]
	if at.holder != holder && time.Now().Before(at.until) {
		return 0, false, nil
	}
	s.cursors[saleID] = cursor{at.seq, holder, time.Now().Add(lease)}
	return at.seq, true, nil
}

// MoveEvents is as in order/mysql.
func (s *Store) MoveEvents(_ context.Context, saleID int64, holder string, seq uint64, lease time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.cursors[saleID]
	at.seq = max(at.seq, seq)
	if at.holder == holder {
		at.until = time.Now().Add(lease)
	}
	s.cursors[saleID] = at
	return nil
}

// ReleaseEvents is as in order/mysql.
func (s *Store) ReleaseEvents(_ context.Context, saleID int64, holder string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.cursors[saleID]; at.holder == holder {
		at.until = time.Now()
		s.cursors[saleID] = at
	}
	return nil
}

// EventPage is as in order/mysql.
func (s *Store) EventPage(ctx context.Context, saleID int64, after uint64, orders int) (es []order.Event, through uint64, more bool, err error) {
	cs, err := s.Changes(ctx, saleID, after, order.EventChanges)
	if err != nil || len(cs) == 0 {
		return nil, after, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sale, err := s.sale(saleID)
	if err != nil {
		return nil, after, false, fmt.Errorf("events: %w", err)
	}
	made := make([]order.TimedChange, len(cs))
	for i, c := range cs {
		made[i] = order.TimedChange{Change: c, At: s.changedAt[saleID][c.Seq-1]}
	}
	page := order.EventPage(made, orders)
	rows := make(map[order.ID]order.Record)
	for _, c := range page {
		for _, v := range c.Verdicts {
			if r, ok := s.orders[v.ID]; ok {
				rows[v.ID] = *r
			}
		}
	}
	return order.Events(page, sale, rows), page[len(page)-1].Seq, len(page) < len(cs) || len(cs) == order.EventChanges, nil
}
