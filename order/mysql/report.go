package mysql

import (
	"context"
	"database/sql"
	"fmt"

	"seckill/order"
)

// Report sums up a sale and, if page is not nil, passes all its orders to page, by ID,
// at most 5,000 at a time: all as of one moment, so that the orders add up to the
// report. page must not keep the slice, and may be slow: MySQL keeps old versions of
// rows meanwhile, and locks nothing. An error of page ends the report.
func (s *Store) Report(ctx context.Context, saleID int64, page func([]order.Record) error) (r order.Report, err error) {
	r.Amounts = map[order.Status]int64{}
	err = s.inSnapshot(ctx, func(tx *sql.Tx) error {
		if r.Tally, err = tally(ctx, tx, saleID); err != nil {
			return err
		}
		err := query(ctx, tx, func(rows *sql.Rows) error {
			var status order.Status
			var amount int64
			err := rows.Scan(&status, &amount)
			r.Amounts[status] = amount
			return err
		}, `SELECT status, SUM(quantity * unit_price) FROM orders WHERE sale_id = ? GROUP BY status`, saleID)
		if err == nil {
			r.Returns, err = returnedTimes(ctx, tx, saleID)
		}
		if err == nil {
			r.Refunds, err = refundSums(ctx, tx, saleID)
		}
		if err != nil || page == nil {
			return err
		}
		for next := order.ID(0); ; {
			var records []order.Record
			if records, next, err = rowsAfter(ctx, tx, saleID, next, order.ReportPage); err != nil {
				return err
			}
			if len(records) > 0 {
				if err := page(records); err != nil {
					return err
				}
			}
			if next == 0 {
				return nil
			}
		}
	})
	if err != nil {
		return order.Report{}, fmt.Errorf("mysql: report of sale %d: %w", saleID, err)
	}
	return r, nil
}

func refundSums(ctx context.Context, tx *sql.Tx, saleID int64) (sums []order.RefundSum, err error) {
	err = query(ctx, tx, func(rows *sql.Rows) error {
		var r order.RefundSum
		err := rows.Scan(&r.Currency, &r.Due, &r.DueMinor, &r.Refunded, &r.RefundedMinor)
		sums = append(sums, r)
		return err
	}, `SELECT currency, SUM(refunded_at IS NULL), SUM(IF(refunded_at IS NULL, amount_minor, 0)),
			SUM(refunded_at IS NOT NULL), SUM(IF(refunded_at IS NULL, 0, amount_minor))
		FROM payments WHERE sale_id = ? AND outcome = 'refund_required' GROUP BY currency ORDER BY currency`, saleID)
	return sums, err
}

// Snapshot returns a sale and passes all its live orders to page, by ID, and then what
// its shoppers have returned to returns, at most 1,000 at a time, all as of one moment:
// the sale's Seq is the last change that they contain. Neither function may keep the
// slice, or take longer than the server waits for its client (a minute by default). An
// error of either ends the snapshot.
func (s *Store) Snapshot(ctx context.Context, saleID int64, page func([]order.Record) error, returns func([]order.Returns) error) (sale order.Sale, err error) {
	err = s.inSnapshot(ctx, func(tx *sql.Tx) error {
		if sale, err = readSale(ctx, tx, `WHERE id = ?`, saleID); err != nil {
			return err
		}
		records := make([]order.Record, 0, order.SnapshotPage)
		// One statement whose result is streamed: separate pages would each sort the
		// rest of the sale.
		err := query(ctx, tx, func(rows *sql.Rows) error {
			if len(records) == order.SnapshotPage {
				if err := page(records); err != nil {
					return err
				}
				records = records[:0]
			}
			var r order.Record
			err := scanRecord(rows, &r)
			records = append(records, r)
			return err
		}, `SELECT `+recordColumns+` FROM orders WHERE sale_id = ? AND live = 1 ORDER BY id`, saleID)
		if err == nil && len(records) > 0 {
			err = page(records)
		}
		if err != nil {
			return err
		}
		return readReturns(ctx, tx, saleID, returns)
	})
	if err != nil {
		return order.Sale{}, fmt.Errorf("mysql: snapshot of sale %d: %w", saleID, err)
	}
	return sale, nil
}

// Tally counts the orders of a sale as of one moment. It reads every row of the sale,
// so it is not for a hot path.
func (s *Store) Tally(ctx context.Context, saleID int64) (t order.Tally, err error) {
	err = s.inSnapshot(ctx, func(tx *sql.Tx) error {
		t, err = tally(ctx, tx, saleID)
		return err
	})
	if err != nil {
		return order.Tally{}, fmt.Errorf("mysql: tally of sale %d: %w", saleID, err)
	}
	return t, nil
}

func tally(ctx context.Context, tx *sql.Tx, saleID int64) (t order.Tally, err error) {
	sale, err := readSale(ctx, tx, `WHERE id = ?`, saleID)
	if err != nil {
		return t, err
	}
	t = order.NewTally(sale)
	err = query(ctx, tx, func(rows *sql.Rows) error {
		var status order.Status
		var orders, units int64
		err := rows.Scan(&status, &orders, &units)
		t.Add(status, orders, units)
		return err
	}, `SELECT status, COUNT(*), SUM(quantity) FROM orders WHERE sale_id = ? GROUP BY status`, saleID)
	if err != nil {
		return t, err
	}
	return t, tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM dead_letters WHERE sale_id = ?`, saleID).Scan(&t.DeadLetters)
}
