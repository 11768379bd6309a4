package order

import (
	"context"
	"database/sql"
	"fmt"
)

// Report is what became of a sale.
type Report struct {
	Tally

	Amounts map[Status]int64 // in the currency's minor unit
}

// reportLook is how many rows Report reads at a time.
const reportLook = 5000

// Report adds up a sale and, where page is not nil, hands all its orders to it, by
// ID, at most 5,000 at a time: all as of one moment, so that the orders add up to
// the report. page must not keep the slice. It may be slow: MySQL keeps old
// versions of rows meanwhile, and nothing else. An error of page ends it.
func (s *Store) Report(ctx context.Context, saleID int64, page func([]Record) error) (r Report, err error) {
	r.Amounts = map[Status]int64{}
	err = s.inSnapshot(ctx, func(tx *sql.Tx) error {
		if r.Tally, err = tally(ctx, tx, saleID); err != nil {
			return err
		}
		err := query(ctx, tx, func(rows *sql.Rows) error {
			var status Status
			var amount int64
			err := rows.Scan(&status, &amount)
			r.Amounts[status] = amount
			return err
		}, `SELECT status, SUM(quantity * unit_price) FROM orders WHERE sale_id = ? GROUP BY status`, saleID)
		if err != nil || page == nil {
			return err
		}
		for next := ID(0); ; {
			var records []Record
			if records, next, err = rowsAfter(ctx, tx, saleID, next, reportLook); err != nil {
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
		return Report{}, fmt.Errorf("order: report of sale %d: %w", saleID, err)
	}
	return r, nil
}
