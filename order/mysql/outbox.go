package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"seckill/order"
)

// The log of changes is the outbox of events: the events of a change are published
// once the cursor in event_cursors has reached its seq. sale_changes must never be
// pruned past that cursor, or past the expirer's and Redis's.

// EventsBehind returns sales with unpublished events, newest first, at most limit:
// either the closed ones, to which little happens, or the others.
func (s *Store) EventsBehind(ctx context.Context, closed bool, limit int) ([]order.EventCursor, error) {
	var found []order.EventCursor
	err := query(ctx, s.db, func(rows *sql.Rows) error {
		var c order.EventCursor
		var micros int64
		err := rows.Scan(&c.SaleID, &c.Seq, &c.Last, &c.Holder, &micros)
		c.Age = time.Duration(max(0, micros)) * time.Microsecond
		found = append(found, c)
		return err
	}, `SELECT s.id, COALESCE(c.seq, 0), s.seq, IF(c.held_until > NOW(3), c.holder, ''),
			COALESCE((SELECT TIMESTAMPDIFF(MICROSECOND, h.made_at, NOW(3)) FROM sale_changes h WHERE h.sale_id = s.id AND h.seq = COALESCE(c.seq, 0) + 1), 0)
		FROM sales s LEFT JOIN event_cursors c ON c.sale_id = s.id
		WHERE (s.state = 'closed') = ? AND s.seq > COALESCE(c.seq, 0) ORDER BY s.id DESC LIMIT ?`, closed, limit)
	if err != nil {
		return nil, fmt.Errorf("mysql: events behind: %w", err)
	}
	return found, nil
}

// HoldEvents gives holder a lease on publishing the events of a sale, from the change
// after seq on; false if another process has it. The lease only saves work: publishing
// twice does no harm.
func (s *Store) HoldEvents(ctx context.Context, saleID int64, holder string, lease time.Duration) (seq uint64, held bool, err error) {
	n, _, err := s.exec(ctx, `UPDATE event_cursors SET holder = ?, held_until = NOW(3) + INTERVAL ? MICROSECOND
		WHERE sale_id = ? AND (holder = ? OR held_until <= NOW(3))`, []byte(holder), lease.Microseconds(), saleID, []byte(holder))
	if err == nil && n == 0 { // held by another, taken again in the same millisecond, or the first time
		_, _, err = s.exec(ctx, `INSERT INTO event_cursors (sale_id, seq, holder, held_until) VALUES (?, 0, ?, NOW(3) + INTERVAL ? MICROSECOND)
			ON DUPLICATE KEY UPDATE sale_id = event_cursors.sale_id`, saleID, []byte(holder), lease.Microseconds())
	}
	if err == nil {
		err = s.db.QueryRowContext(ctx, `SELECT seq, holder = ? FROM event_cursors WHERE sale_id = ?`, []byte(holder), saleID).Scan(&seq, &held)
	}
	if err != nil {
		return 0, false, fmt.Errorf("mysql: hold events of sale %d: %w", saleID, err)
	}
	if !held {
		return 0, false, nil
	}
	return seq, true, nil
}

// MoveEvents moves the cursor to seq and extends the lease of holder. The caller must
// have published the events of all changes since the last cursor. The cursor never
// moves back.
func (s *Store) MoveEvents(ctx context.Context, saleID int64, holder string, seq uint64, lease time.Duration) error {
	_, _, err := s.exec(ctx, `UPDATE event_cursors SET seq = GREATEST(seq, ?),
		held_until = IF(holder = ?, NOW(3) + INTERVAL ? MICROSECOND, held_until) WHERE sale_id = ?`,
		seq, []byte(holder), lease.Microseconds(), saleID)
	if err != nil {
		return fmt.Errorf("mysql: move events of sale %d: %w", saleID, err)
	}
	return nil
}

// ReleaseEvents ends the lease of holder, so that another process may publish at once.
func (s *Store) ReleaseEvents(ctx context.Context, saleID int64, holder string) error {
	_, _, err := s.exec(ctx, `UPDATE event_cursors SET held_until = NOW(3) WHERE sale_id = ? AND holder = ?`, saleID, []byte(holder))
	if err != nil {
		return fmt.Errorf("mysql: release events of sale %d: %w", saleID, err)
	}
	return nil
}

// eventRows is how many rows one statement reads.
const eventRows = 1024

// EventPage returns the events of a sale's changes after a seq, in their order: those
// of the next changes that have at most so many orders together, and of one change at
// least. through is the last of these changes, or after if there are none; more is
// true if there are further ones. A gap in the log is an error.
func (s *Store) EventPage(ctx context.Context, saleID int64, after uint64, orders int) (es []order.Event, through uint64, more bool, err error) {
	page, more, err := s.timedChanges(ctx, saleID, after, orders)
	if err != nil || len(page) == 0 {
		return nil, after, false, err
	}
	sale, err := s.Sale(ctx, saleID)
	if err != nil {
		return nil, after, false, err
	}
	rows := make(map[order.ID]order.Record)
	for ids := range slices.Chunk(order.IDsOf(page), eventRows) {
		if err := s.eventRows(ctx, ids, rows); err != nil {
			return nil, after, false, fmt.Errorf("mysql: rows of events of sale %d: %w", saleID, err)
		}
	}
	return order.Events(page, sale, rows), page[len(page)-1].Seq, more, nil
}

// timedChanges reads a page of changes with their times. It does not decode what is
// beyond the page: if changes are full, that is most of the result.
func (s *Store) timedChanges(ctx context.Context, saleID int64, after uint64, orders int) (cs []order.TimedChange, more bool, err error) {
	read := 0
	err = query(ctx, s.db, func(rows *sql.Rows) (err error) {
		if read++; more {
			return nil
		}
		var c order.TimedChange
		var body, returned, refund sql.RawBytes
		if err := rows.Scan(&c.Seq, &body, &returned, &refund, &c.At); err != nil {
			return err
		}
		c.Change, err = decodeChange(saleID, c.Seq, body, returned, refund)
		cs = append(cs, c)
		page := order.EventPage(cs, orders)
		cs, more = page, len(page) < len(cs)
		return err
	}, `SELECT seq, changes, returned, refund, made_at FROM sale_changes WHERE sale_id = ? AND seq > ? ORDER BY seq LIMIT ?`, saleID, after, order.EventChanges)
	if err != nil {
		return nil, false, fmt.Errorf("mysql: changes of sale %d: %w", saleID, err)
	}
	return cs, more || read == order.EventChanges, order.Gapless(saleID, after, cs)
}

// eventRows reads into rows what an event needs and the log does not have.
func (s *Store) eventRows(ctx context.Context, ids []order.ID, rows map[order.ID]order.Record) error {
	return query(ctx, s.db, func(rs *sql.Rows) error {
		var r order.Record
		err := rs.Scan(&r.ID, &r.Reference, &r.UnitPrice)
		rows[r.ID] = r
		return err
	}, `SELECT id, reference, unit_price FROM orders FORCE INDEX (PRIMARY) WHERE id IN (`+repeat("?", len(ids))+`)`, idArgs(ids)...)
}
