package order

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// Cancel takes a confirmed order back: its units and its slot are free again.
// The verdict is that of the order, with its Seq when this call cancelled it;
// an order that is cancelled already is no error. The errors are ErrNotFound,
// and ErrConflict with the verdict when the order is paid or rejected.
func (s *Store) Cancel(ctx context.Context, id ID) (Verdict, error) {
	return s.CancelAs(ctx, Operator{}, "", id)
}

// CancelAs is Cancel by an operator, under the name of a command for the audit
// log.
func (s *Store) CancelAs(ctx context.Context, by Operator, cmd string, id ID) (Verdict, error) {
	vs, err := s.cancel(ctx, "cancel", func(ctx context.Context, tx *sql.Tx) ([]Verdict, error) {
		vs, err := cancelled(ctx, tx, []ID{id}, cancelOrders)
		if err == nil && len(vs) == 1 {
			err = writeAudit(ctx, tx, CancelEntry(by, cmd, vs[0]))
		}
		return vs, err
	})
	if err != nil {
		return Verdict{}, err
	}
	if len(vs) == 1 {
		return vs[0], nil
	}
	r, err := s.find(ctx, id)
	if err != nil {
		return Verdict{}, fmt.Errorf("order: cancel %d: %w", id, err)
	}
	if r.Status != StatusCancelled {
		return r.Verdict(), fmt.Errorf("%w: order %d is %s", ErrConflict, id, r.Status)
	}
	return r.Verdict(), nil
}

func (s *Store) find(ctx context.Context, id ID) (Record, error) {
	found, err := s.Find(ctx, []ID{id})
	if err == nil && len(found) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Record{}, err
	}
	return found[0], nil
}

// Expire cancels orders of a sale that are unpaid although their time is over,
// by the server's clock, or that are unpaid at all where the sale is voided: those confirmed by its changes after a seq, at most
// 256 in one transaction. It finds them by the log, which has them nearly in
// the order in which they are due, so that no insert pays for an index; the
// log must not be pruned past what this returns. Any number of processes may
// call it: an order is cancelled once.
func (s *Store) Expire(ctx context.Context, saleID int64, after uint64) (Expiry, error) {
	page, confirmed, err := s.expiryPage(ctx, saleID, after)
	if err != nil {
		return Expiry{}, err
	}
	if len(page) == 0 { // what is confirmed from now on has all its time
		terms, err := s.saleTerms(ctx, []Order{{SaleID: saleID}})
		return Expiry{Seq: after, Wait: max(terms[saleID].payWithin, time.Second)}, err
	}
	sale, err := s.Sale(ctx, saleID) // not from memory: what an operator has decided holds at once
	if err != nil {
		return Expiry{}, err
	}
	left, err := s.unpaid(ctx, sale, confirmed)
	if err != nil {
		return Expiry{}, fmt.Errorf("order: unpaid orders of sale %d: %w", saleID, err)
	}
	e, due := PlanExpiry(after, page, left)
	if len(due) == 0 {
		return e, nil
	}
	e.Verdicts, err = s.cancel(ctx, "expire", func(ctx context.Context, tx *sql.Tx) ([]Verdict, error) {
		if sale.Voided {
			return cancelled(ctx, tx, due, cancelOrders)
		}
		vs, err := cancelled(ctx, tx, due, expireOrders, seconds(sale.leastToPay()))
		if err == nil && len(vs) > 0 {
			err = notExtended(ctx, tx, sale)
		}
		return vs, err
	})
	if errors.Is(err, ErrStale) {
		return Expiry{Seq: after}, nil // the next look goes by the new terms
	}
	return e, err
}

// expiryPage reads what one look takes. It begins with a few changes: one holds
// one order, or hundreds, and 256 full ones 65,000.
func (s *Store) expiryPage(ctx context.Context, saleID int64, after uint64) (page []Change, confirmed []ID, err error) {
	var cs []Change
	for n := expiryFirst; ; n = min(4*n, expiryChanges-len(cs)) {
		more, err := s.Changes(ctx, saleID, after, n)
		if err != nil {
			return nil, nil, err
		}
		cs = append(cs, more...)
		page, confirmed = ExpiryPage(cs)
		if len(confirmed) >= expiryOrders || len(more) < n || len(cs) == expiryChanges {
			return page, confirmed, nil
		}
		after = cs[len(cs)-1].Seq
	}
}

// notExtended is ErrStale when the shoppers of sale have been given more time
// since it was read. The transaction has changed the sale's row: whoever extends
// it from now on waits, and comes after the orders' end.
func notExtended(ctx context.Context, tx *sql.Tx, sale Sale) error {
	now, err := readSale(ctx, tx, `WHERE id = ? FOR UPDATE`, sale.ID)
	if err == nil && now.leastToPay() > sale.leastToPay() {
		err = fmt.Errorf("%w: sale %d was extended", ErrStale, sale.ID)
	}
	return err
}

// unpaid returns how much longer the confirmed ones of the orders may be so.
func (s *Store) unpaid(ctx context.Context, sale Sale, ids []ID) (map[ID]time.Duration, error) {
	if len(ids) == 0 {
		return nil, nil //nolint:nilnil // no orders, none unpaid
	}
	left := make(map[ID]time.Duration, len(ids))
	err := query(ctx, s.db, func(rows *sql.Rows) error {
		var id ID
		var micros int64
		err := rows.Scan(&id, &micros)
		if left[id] = time.Duration(micros) * time.Microsecond; sale.Voided {
			left[id] = 0
		}
		return err
	}, `SELECT id, TIMESTAMPDIFF(MICROSECOND, NOW(3), GREATEST(pay_by, decided_at + INTERVAL ? SECOND)) FROM orders FORCE INDEX (PRIMARY)
		WHERE id IN (`+repeat("?", len(ids))+`) AND status = 'confirmed'`, append([]any{seconds(sale.leastToPay())}, idArgs(ids)...)...)
	return left, err
}

// leastToPay is how long any order of s may be unpaid, whatever its row says:
// while an extension is still on its way to the rows, all of it.
func (s Sale) leastToPay() time.Duration {
	if s.Extending {
		return s.PayWithin
	}
	return 0
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

func idArgs(ids []ID) []any {
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = int64(id)
	}
	return args
}

const (
	// The key: as for rejectOrders. The attempt tells which rows this changed.
	cancelOrders = `UPDATE orders FORCE INDEX (PRIMARY) SET live = NULL, status = 'cancelled', decided_at = NOW(3), attempt = ?
		WHERE status = 'confirmed' AND id IN (`
	expireOrders = `UPDATE orders FORCE INDEX (PRIMARY) SET live = NULL, status = 'cancelled', decided_at = NOW(3), attempt = ?
		WHERE status = 'confirmed' AND pay_by <= NOW(3) AND decided_at + INTERVAL ? SECOND <= NOW(3) AND id IN (`
	returnUnits = `UPDATE sales SET available = available + ?, seq = LAST_INSERT_ID(seq + 1) WHERE id = ?`
)

// cancel runs change in a transaction and returns the orders that it cancelled.
// A transaction whose COMMIT was not answered and succeeded has cancelled them
// before: then it returns none, and the tail tells Redis.
func (s *Store) cancel(ctx context.Context, what string, change func(context.Context, *sql.Tx) ([]Verdict, error)) (vs []Verdict, err error) {
	err = s.retry(ctx, what, func(int) error {
		return s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			vs, err = change(ctx, tx)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return vs, nil
}

// cancelled runs an update over orders in ID order and returns those that it
// changed.
func cancelled(ctx context.Context, tx *sql.Tx, ids []ID, update string, args ...any) ([]Verdict, error) {
	attempt := rand.Uint64()
	n, _, err := exec(ctx, tx, update+repeat("?", len(ids))+`)`, slices.Concat([]any{attempt}, args, idArgs(ids))...)
	if err != nil || n == 0 {
		return nil, err
	}
	bySale := map[int64][]Verdict{}
	err = query(ctx, tx, func(rows *sql.Rows) error {
		var r Record
		err := scanRecord(rows, &r)
		bySale[r.SaleID] = append(bySale[r.SaleID], r.Verdict())
		return err
	}, `SELECT `+recordColumns+` FROM orders FORCE INDEX (PRIMARY) WHERE attempt = ? AND id IN (`+repeat("?", len(ids))+`) ORDER BY id`,
		append([]any{attempt}, idArgs(ids)...)...)
	if err != nil {
		return nil, fmt.Errorf("read back: %w", err)
	}
	var all []Verdict
	for _, saleID := range slices.Sorted(maps.Keys(bySale)) {
		vs := bySale[saleID]
		if err := giveBack(ctx, tx, saleID, vs); err != nil {
			return nil, err
		}
		all = append(all, vs...)
	}
	return all, nil
}

// giveBack returns the units of cancelled orders to their sale, with the
// change, whose seq it sets.
func giveBack(ctx context.Context, tx *sql.Tx, saleID int64, vs []Verdict) error {
	units := 0
	for _, v := range vs {
		units += v.Quantity
	}
	_, seq, err := exec(ctx, tx, returnUnits, units, saleID)
	if err != nil {
		return fmt.Errorf("give back: %w", err)
	}
	for i := range vs {
		vs[i].Seq = uint64(seq)
	}
	return writeChange(ctx, tx, Change{SaleID: saleID, Seq: uint64(seq), Verdicts: vs})
}
