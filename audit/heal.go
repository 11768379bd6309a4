package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"seckill/internal/loop"
	"seckill/order"
)

const (
	// A scan pauses after each page for three times as long as the page took, so
	// that the servers have three quarters of the time for shoppers.
	pauseFactor = 3
	maxPause    = 2 * time.Second
	// A scan need not be fast. It pauses smallSalePause after each page of a sale of
	// up to 120,000 orders, spreads the pages of larger sales over spread, and takes
	// longer for more than 2,000,000 orders. A page costs the consumer and MariaDB
	// some 2 ms of CPU: two scans with pauses of 25 ms took 0.16 of a core from the
	// sale that was being bought.
	spread         = time.Minute
	smallSalePause = 50 * time.Millisecond
	largeSalePause = 3 * time.Millisecond
)

// Scan compares all orders of a sale and heals those that differ.
func (b *Background) Scan(ctx context.Context, saleID int64) error {
	start := time.Now()
	kept := start
	var work *scan
	work = newScan(b.store, b.ledger, saleID, b.grace, func(ctx context.Context, took time.Duration) error {
		if time.Since(kept) > scanLease/3 {
			kept = time.Now()
			if err := b.ledger.Keep(ctx, saleID, scanClaim, scanLease); err != nil {
				return err
			}
		}
		return loop.Pause(ctx, min(max(pauseFactor*took, minPause(work.units)), maxPause))
	})
	found, err := work.run(ctx)
	if errors.Is(err, errReloaded) {
		b.log.InfoContext(ctx, "audit: sale loaded again or unloaded during the scan", "sale_id", saleID)
		return nil
	}
	if err != nil {
		return err
	}
	still, err := b.heal(ctx, work, found)
	if err != nil {
		return err
	}
	whole, oversold, err := b.rowsAddUp(ctx, work)
	if err != nil {
		return err
	}
	b.report(ctx, saleID, found, still, whole)
	b.m.scanned(saleID, found, whole, oversold)
	b.log.DebugContext(ctx, "audit: scan done", "sale_id", saleID, "live_units", work.liveUnits,
		"differed", len(found), "healed", len(found)-len(still), "took", time.Since(start))
	return nil
}

// minPause is the shortest pause after a page of a sale with so many sold units.
func minPause(units int64) time.Duration {
	pages := max(1, time.Duration(units/entriesAtOnce))
	return min(max(spread/pages, largeSalePause), smallSalePause)
}

// heal replays the verdicts of the orders that differ, hands overdue orders to
// the sweeper, and returns the orders that still differ.
func (b *Background) heal(ctx context.Context, work *scan, found []*mismatch) ([]*mismatch, error) {
	var decided []order.Verdict
	var undecided []order.Order
	for _, s := range found {
		switch {
		case !healable(s.kind):
		case s.verdict != nil:
			decided = append(decided, *s.verdict)
		default:
			undecided = append(undecided, s.Order)
		}
	}
	if err := b.ledger.Replay(ctx, decided); err != nil {
		return nil, fmt.Errorf("replay %d verdicts of sale %d: %w", len(decided), work.saleID, err)
	}
	if len(undecided) > 0 {
		if err := b.ledger.Urgent(ctx, work.saleID, undecided...); err != nil {
			return nil, fmt.Errorf("hand %d orders of sale %d to the sweeper: %w", len(undecided), work.saleID, err)
		}
	}
	var still []*mismatch
	for some := range slices.Chunk(found, rowsAtOnce) {
		now, err := work.compareNow(ctx, some)
		if err != nil {
			return nil, err
		}
		for _, s := range now {
			if s.kind != "" {
				still = append(still, s)
			}
		}
	}
	b.m.healed.Add(float64(len(found) - len(still)))
	return still, nil
}

// rowsAddUp compares the sale's row with the live units that a scan has added up.
// While the sale sells, the scan's pages are from different moments. So it counts
// all rows at once, but only when that cannot explain the difference.
func (b *Background) rowsAddUp(ctx context.Context, work *scan) ([]Discrepancy, int64, error) {
	quiet := work.before.Seq == work.after.Seq
	sale := work.after
	if work.liveUnits <= int64(sale.Total) && (!quiet || work.liveUnits+int64(sale.Available) == int64(sale.Total)) {
		return nil, 0, nil
	}
	t, err := b.store.Tally(ctx, sale.ID)
	if err != nil {
		return nil, 0, fmt.Errorf("count the orders of sale %d: %w", sale.ID, err)
	}
	return rowDiscrepancies(t), max(0, t.LiveUnits-int64(t.Sale.Total)), nil
}

// report logs the findings of a scan, up to maxLogged lines of each kind.
func (b *Background) report(ctx context.Context, saleID int64, found, still []*mismatch, whole []Discrepancy) {
	for _, d := range whole {
		b.log.ErrorContext(ctx, "audit: the sale does not add up", "sale_id", saleID, "kind", d.Kind, "detail", d.Detail)
	}
	differs := make(map[orderKey]bool, len(still))
	for _, s := range still {
		differs[keyOf(s.Order)] = true
	}
	lines := 0
	for _, s := range found {
		if differs[keyOf(s.Order)] || lines == maxLogged {
			continue
		}
		lines++
		b.log.WarnContext(ctx, "audit: verdict replayed to Redis", "sale_id", saleID, "order_id", s.ID.String(), "kind", s.kind, "detail", s.detail)
	}
	for i, s := range still {
		if i == maxLogged {
			b.log.ErrorContext(ctx, "audit: more orders differ", "sale_id", saleID, "orders", len(still)-i)
			break
		}
		d := s.discrepancy()
		if healable(s.kind) { // the sweeper settles it
			b.log.WarnContext(ctx, "audit: order handed to the sweeper", "sale_id", saleID, "order_id", d.OrderID, "kind", d.Kind, "detail", d.Detail)
			continue
		}
		b.log.ErrorContext(ctx, "audit: order differs", "sale_id", saleID, "order_id", d.OrderID, "kind", d.Kind, "detail", d.Detail)
	}
}
