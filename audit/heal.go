package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"seckill/internal/loop"
	"seckill/order"
)

const (
	// A page is followed by a rest of three times what it took, so that the
	// servers are the shoppers' for three quarters of the pass, and for more when slow.
	restFactor = 3
	maxRest    = 2 * time.Second
	// A pass is in no hurry. It rests restSmall after each page of a sale of up to
	// 120,000 orders, spreads the pages of larger ones over spread, and takes longer
	// for those of over 2,000,000. A page costs consumer and MariaDB some 2 ms of CPU:
	// two passes with rests of 25 ms took 0.16 of a core from the sale that was being
	// bought.
	spread    = time.Minute
	restSmall = 50 * time.Millisecond
	restLarge = 3 * time.Millisecond
)

// Scan compares all orders of a sale and heals those that differ.
func (p *Background) Scan(ctx context.Context, saleID int64) error {
	start := time.Now()
	kept := start
	var work *scan
	work = newScan(p.store, p.ledger, saleID, p.grace, func(ctx context.Context, took time.Duration) error {
		if time.Since(kept) > passLease/3 {
			kept = time.Now()
			if err := p.ledger.Keep(ctx, saleID, passName, passLease); err != nil {
				return err
			}
		}
		return loop.Pause(ctx, min(max(restFactor*took, restOf(work.units)), maxRest))
	})
	found, err := work.run(ctx)
	if errors.Is(err, errMoved) {
		p.log.InfoContext(ctx, "audit: sale loaded anew or unloaded during the pass", "sale_id", saleID)
		return nil
	}
	if err != nil {
		return err
	}
	still, err := p.heal(ctx, work, found)
	if err != nil {
		return err
	}
	whole, oversold, err := p.rowsAddUp(ctx, work)
	if err != nil {
		return err
	}
	p.report(ctx, saleID, found, still, whole)
	p.m.passed(saleID, found, whole, oversold)
	p.log.DebugContext(ctx, "audit: pass done", "sale_id", saleID, "live_units", work.liveUnits,
		"differed", len(found), "healed", len(found)-len(still), "took", time.Since(start))
	return nil
}

// restOf is the least rest after a page of a sale that so many units are sold of.
func restOf(units int64) time.Duration {
	pages := max(1, time.Duration(units/entriesAtOnce))
	return min(max(spread/pages, restLarge), restSmall)
}

// heal replays the verdicts of what differs, sends the overdue to the sweeper,
// and returns what differs still.
func (p *Background) heal(ctx context.Context, work *scan, found []*mismatch) ([]*mismatch, error) {
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
	if err := p.ledger.Replay(ctx, decided); err != nil {
		return nil, fmt.Errorf("replay %d verdicts of sale %d: %w", len(decided), work.saleID, err)
	}
	if len(undecided) > 0 {
		if err := p.ledger.Urgent(ctx, work.saleID, undecided...); err != nil {
			return nil, fmt.Errorf("hand %d orders of sale %d to the sweeper: %w", len(undecided), work.saleID, err)
		}
	}
	var still []*mismatch
	for rest := found; len(rest) > 0; {
		some := rest[:min(len(rest), rowsAtOnce)]
		rest = rest[len(some):]
		now, err := work.look(ctx, some)
		if err != nil {
			return nil, err
		}
		for _, s := range now {
			if s.kind != "" {
				still = append(still, s)
			}
		}
	}
	p.m.healed.Add(float64(len(found) - len(still)))
	return still, nil
}

// rowsAddUp checks the sale's row against the live rows that a pass has
// added up. While the sale sells these are of different moments, so only what
// cannot be explained by that is looked at, by counting all rows at once.
func (p *Background) rowsAddUp(ctx context.Context, work *scan) (bad []Discrepancy, oversold int64, err error) {
	quiet := work.before.Seq == work.after.Seq
	sale := work.after
	if work.liveUnits <= int64(sale.Total) && (!quiet || work.liveUnits+int64(sale.Available) == int64(sale.Total)) {
		return nil, 0, nil
	}
	t, err := p.store.Tally(ctx, sale.ID)
	if err != nil {
		return nil, 0, fmt.Errorf("count the orders of sale %d: %w", sale.ID, err)
	}
	if over := t.LiveUnits - int64(t.Sale.Total); over > 0 {
		oversold = over
		bad = append(bad, Discrepancy{Kind: KindOversold, Detail: fmt.Sprintf("%d live units of a total of %d in MySQL", t.LiveUnits, t.Sale.Total)})
	}
	if t.LiveUnits+int64(t.Sale.Available) != int64(t.Sale.Total) {
		bad = append(bad, Discrepancy{Kind: KindUnits, Detail: fmt.Sprintf(
			"available %d + live units %d is not the total %d in MySQL", t.Sale.Available, t.LiveUnits, t.Sale.Total)})
	}
	return bad, oversold, nil
}

// report logs what a pass has found, within bounds.
func (p *Background) report(ctx context.Context, saleID int64, found, still []*mismatch, whole []Discrepancy) {
	for _, d := range whole {
		p.log.ErrorContext(ctx, "audit: the sale does not add up", "sale_id", saleID, "kind", d.Kind, "detail", d.Detail)
	}
	differs := make(map[who]bool, len(still))
	for _, s := range still {
		differs[whose(s.Order)] = true
	}
	lines := 0
	for _, s := range found {
		if differs[whose(s.Order)] || lines == maxLogged {
			continue
		}
		lines++
		p.log.WarnContext(ctx, "audit: verdict replayed to Redis", "sale_id", saleID, "order_id", s.ID.String(), "kind", s.kind, "detail", s.detail)
	}
	for i, s := range still {
		if i == maxLogged {
			p.log.ErrorContext(ctx, "audit: more orders differ", "sale_id", saleID, "orders", len(still)-i)
			break
		}
		d := s.discrepancy()
		if healable(s.kind) { // the sweeper has it now
			p.log.WarnContext(ctx, "audit: order handed to the sweeper", "sale_id", saleID, "order_id", d.OrderID, "kind", d.Kind, "detail", d.Detail)
			continue
		}
		p.log.ErrorContext(ctx, "audit: order differs", "sale_id", saleID, "order_id", d.OrderID, "kind", d.Kind, "detail", d.Detail)
	}
}
