package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"seckill/order"
)

// Find is as in order/mysql.
func (s *Store) Find(ctx context.Context, ids []order.ID) ([]order.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []order.Record
	for _, id := range ids {
		if r, ok := s.orders[id]; ok {
			found = append(found, *r)
		}
	}
	return found, nil
}

// Verdicts is as in order/mysql.
func (s *Store) Verdicts(ctx context.Context, os []order.Order) (decided []order.Verdict, undecided []order.Order, err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range os {
		r, ok := s.orders[o.ID]
		d, rejected := s.deadLetters[deadLetterKey{order: o.ID, sale: o.SaleID, shopper: o.ShopperID}]
		switch {
		case ok && order.Same(r.Order, o):
			decided = append(decided, r.Verdict())
		case rejected:
			decided = append(decided, order.Verdict{Order: o, Status: order.StatusRejected, Reason: order.Reason(d.Reason)})
		default:
			undecided = append(undecided, o)
		}
	}
	return decided, undecided, nil
}

// ByShopper is as in order/mysql.
func (s *Store) ByShopper(_ context.Context, saleID int64, id string, before order.ID, limit int) ([]order.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []order.Record
	for _, r := range s.shoppers[shopper{saleID, id}] {
		if before == 0 || r.ID < before {
			found = append(found, *r)
		}
	}
	slices.SortFunc(found, func(a, b order.Record) int { return cmp.Compare(b.ID, a.ID) })
	return found[:min(len(found), limit)], nil
}

// Changes is as in order/mysql.
func (s *Store) Changes(_ context.Context, saleID int64, after uint64, limit int) ([]order.Change, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var cs []order.Change
	bodies := s.changes[saleID]
	for seq := after + 1; seq <= uint64(len(bodies)) && len(cs) < limit; seq++ {
		c, err := order.DecodeChange(saleID, seq, bodies[seq-1], s.returned[saleID][seq-1])
		if err == nil {
			c.Refund, err = order.DecodeRefund(s.refunds[saleID][seq-1])
		}
		if err != nil {
			return nil, err
		}
		cs = append(cs, c)
	}
	return cs, nil
}

// Snapshot is as in order/mysql.
func (s *Store) Snapshot(_ context.Context, saleID int64, page func([]order.Record) error, returns func([]order.Returns) error) (order.Sale, error) {
	sale, records, returned, err := s.all(saleID)
	if err != nil {
		return order.Sale{}, err
	}
	records = slices.DeleteFunc(records, func(r order.Record) bool { return !r.Status.Live() })
	for records := range slices.Chunk(records, order.SnapshotPage) {
		if err := page(records); err != nil {
			return order.Sale{}, err
		}
	}
	for returned := range slices.Chunk(returned, order.SnapshotPage) {
		if err := returns(returned); err != nil {
			return order.Sale{}, err
		}
	}
	return sale, nil
}

// all returns a sale, its orders by ID, and what its shoppers have returned.
func (s *Store) all(saleID int64) (order.Sale, []order.Record, []order.Returns, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sale, err := s.sale(saleID)
	var records []order.Record
	for _, r := range s.orders {
		if r.SaleID == saleID {
			records = append(records, *r)
		}
	}
	slices.SortFunc(records, func(a, b order.Record) int { return cmp.Compare(a.ID, b.ID) })
	var returned []order.Returns
	for of, r := range s.returns {
		if of.sale == saleID {
			returned = append(returned, r)
		}
	}
	slices.SortFunc(returned, func(a, b order.Returns) int { return cmp.Compare(a.ShopperID, b.ShopperID) })
	return sale, records, returned, err
}

// returnedTimes counts shoppers by how many orders they returned.
func returnedTimes(returned []order.Returns) (found []order.ReturnedTimes) {
	var by [order.LastTimes + 1]order.ReturnedTimes
	for _, r := range returned {
		b := &by[min(r.Orders, order.LastTimes)]
		b.Times = min(r.Orders, order.LastTimes)
		b.Shoppers++
		b.Orders += int64(r.Orders)
		b.Units += r.Units
	}
	for _, b := range by {
		if b.Shoppers > 0 {
			found = append(found, b)
		}
	}
	return found
}

// Report is as in order/mysql.
func (s *Store) Report(ctx context.Context, saleID int64, page func([]order.Record) error) (order.Report, error) {
	tally, err := s.Tally(ctx, saleID)
	if err != nil {
		return order.Report{}, err
	}
	_, records, returned, err := s.all(saleID)
	r := order.Report{Tally: tally, Amounts: map[order.Status]int64{}, Returns: returnedTimes(returned)}
	for _, o := range records {
		r.Amounts[o.Status] += int64(o.Quantity) * o.UnitPrice
	}
	r.Refunds = s.refundSums(saleID)
	for records := range slices.Chunk(records, order.ReportPage) {
		if page == nil || err != nil {
			break
		}
		err = page(records)
	}
	return r, err
}

func (s *Store) refundSums(saleID int64) (sums []order.RefundSum) {
	s.mu.Lock()
	defer s.mu.Unlock()
	byCurrency := map[string]order.RefundSum{}
	for _, p := range s.payments {
		if p.SaleID == saleID && p.Outcome == order.OutcomeRefundRequired {
			byCurrency[p.Currency] = byCurrency[p.Currency].Add(p)
		}
	}
	for _, currency := range slices.Sorted(maps.Keys(byCurrency)) {
		sums = append(sums, byCurrency[currency])
	}
	return sums
}

// Tally is as in order/mysql.
func (s *Store) Tally(_ context.Context, saleID int64) (order.Tally, error) {
	sale, records, _, err := s.all(saleID)
	if err != nil {
		return order.Tally{}, err
	}
	t := order.NewTally(sale)
	for _, r := range records {
		t.Add(r.Status, 1, int64(r.Quantity))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.deadLetters {
		if d.SaleID == saleID {
			t.DeadLetters++
		}
	}
	return t, nil
}
