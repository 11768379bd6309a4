package mysql

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"seckill/internal/failpoint"
	"seckill/order"
)

// Settle decides every order of a batch, of a few hundred at most, in one
// transaction and returns one verdict for each distinct order. An order that
// has a verdict keeps it (Seq 0). Deadlocks, lock waits and lost connections
// are tried again a few times; the error is for the caller's backoff, and
// whatever was committed by then is found by the next call. An order that
// MySQL refuses is rejected as poison, alone.
func (s *Store) Settle(ctx context.Context, batch []order.Order) ([]order.Verdict, error) {
	return s.settle(ctx, distinct(batch))
}

func (s *Store) settle(ctx context.Context, orders []order.Order) ([]order.Verdict, error) {
	if len(orders) == 0 {
		return nil, nil
	}
	prepared := s.inserts.get(ctx, s, len(orders))
	var t *settling
	err := s.retry(ctx, "settle", func(try int) error {
		terms, err := s.saleTerms(ctx, orders)
		if err != nil {
			return err
		}
		return s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			t = newSettling(tx, terms)
			if try == 0 {
				t.prepared = prepared
			}
			if failpoint.Broken(failpoint.SameAttempt) {
				t.attempt = uint64(orders[0].ID)
			}
			return t.run(ctx, orders, try > 0)
		})
	})
	switch {
	case err == nil:
		return t.verdicts(), nil
	case kindOf(err) != badData:
		return nil, err
	case len(orders) == 1:
		return s.condemn(ctx, orders[0], err)
	}
	healthy, err := s.settle(ctx, orders[:len(orders)/2])
	if err != nil {
		return nil, err
	}
	rest, err := s.settle(ctx, orders[len(orders)/2:])
	if err != nil {
		return nil, err
	}
	return append(healthy, rest...), nil
}

// distinct sorts a batch by ID, so that transactions lock rows in one order,
// and drops repeated deliveries, which would be deducted twice. Another order
// under the same ID stays: it is a collision.
func distinct(batch []order.Order) []order.Order {
	os := slices.Clone(batch)
	slices.SortStableFunc(os, byIdentity)
	if failpoint.Broken(failpoint.DedupeByID) {
		return slices.CompactFunc(os, func(a, b order.Order) bool { return a.ID == b.ID })
	}
	os = slices.CompactFunc(os, order.Same)
	if failpoint.Broken(failpoint.UnsortedBatches) {
		rand.Shuffle(len(os), func(i, k int) { os[i], os[k] = os[k], os[i] })
	}
	return os
}

func byIdentity(a, b order.Order) int {
	return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.SaleID, b.SaleID), cmp.Compare(a.ShopperID, b.ShopperID))
}

// settling is one transaction of a batch: one try.
type settling struct {
	tx       *sql.Tx
	terms    map[int64]terms
	attempt  uint64           // in each row that this transaction makes
	prepared []preparedInsert // largest first

	earlier  []order.Verdict  // of earlier transactions
	fresh    []*order.Verdict // rows of this one
	collided []*order.Verdict // whose ID is another order's
}

// newSettling takes an attempt ID that no other transaction has: with the one
// of an earlier try, whose COMMIT may have succeeded, its rows would count as
// new and be deducted again.
func newSettling(tx *sql.Tx, terms map[int64]terms) *settling {
	return &settling{tx: tx, terms: terms, attempt: rand.Uint64()}
}

// maxRounds bounds how often slots are looked for; 3 was the most ever seen.
const maxRounds = 8

var errRounds = errors.New("slots keep being taken")

// run settles the orders, which are distinct and in ID order. look makes it
// read what is there before it inserts, which meets fewer locks of others: a
// further try has just lost against some. The first try does not, since that
// costs a third of the speed.
func (t *settling) run(ctx context.Context, orders []order.Order, look bool) error {
	vs := t.draft(orders)
	misplaced := slices.DeleteFunc(slices.Clone(vs), func(v *order.Verdict) bool { return t.slotExists(v) })
	if look {
		absent, err := t.sift(ctx, vs)
		if err != nil {
			return err
		}
		vs, misplaced = absent, absent
	}
	if err := t.place(ctx, misplaced); err != nil {
		return err
	}
	for round := 0; len(vs) > 0; round++ {
		if round == maxRounds {
			return errRounds
		}
		n, err := t.insert(ctx, vs)
		if err != nil {
			return err
		}
		if n == len(vs) {
			t.fresh = append(t.fresh, vs...)
			break
		}
		if vs, err = t.sift(ctx, vs); err != nil {
			return err
		}
		if err := t.place(ctx, vs); err != nil {
			return err
		}
	}
	if err := t.collide(ctx); err != nil {
		return err
	}
	return t.closeSales(ctx)
}

// draft says what each order comes to if nothing stands in its way. One that
// its sale does not allow is poison: the API lets none through.
func (t *settling) draft(orders []order.Order) []*order.Verdict {
	vs := make([]*order.Verdict, len(orders))
	for i, o := range orders {
		v := &order.Verdict{Order: o, Status: order.StatusConfirmed}
		terms, ok := t.terms[o.SaleID]
		if !ok || o.Quantity < 1 || o.Quantity > terms.units {
			*v = fence(o, order.ReasonPoison)
		}
		vs[i] = v
	}
	return vs
}

// fence is the verdict on an order that must never be confirmed: a row without
// units or slot, which a late message finds.
func fence(o order.Order, reason order.Reason) order.Verdict {
	o.Quantity, o.Slot = 0, 0
	return order.Verdict{Order: o, Status: order.StatusRejected, Reason: reason}
}

// sift reads what stands under the IDs of vs and returns the verdicts that
// have no row: their slot was taken.
func (t *settling) sift(ctx context.Context, vs []*order.Verdict) (absent []*order.Verdict, err error) {
	type row struct {
		order.Record
		attempt uint64
	}
	found := make(map[order.ID]row, len(vs))
	err = query(ctx, t.tx, func(rows *sql.Rows) error {
		var r row
		err := scanRecord(rows, &r.Record, &r.attempt)
		found[r.ID] = r
		return err
	}, `SELECT `+recordColumns+`, attempt FROM orders WHERE id IN (`+repeat("?", len(vs))+`)`, idsOf(vs)...)
	if err != nil {
		return nil, fmt.Errorf("read back: %w", err)
	}
	for _, v := range vs {
		r, ok := found[v.ID]
		switch {
		case !ok:
			absent = append(absent, v)
		case !order.Same(r.Order, v.Order) && !failpoint.Broken(failpoint.OneWorkerNumber):
			v.Status, v.Reason = order.StatusRejected, order.ReasonCollision
			t.collided = append(t.collided, v)
		case r.attempt == t.attempt:
			t.fresh = append(t.fresh, v)
		default:
			t.earlier = append(t.earlier, r.Verdict())
		}
	}
	return absent, nil
}

func idsOf(vs []*order.Verdict) []any {
	ids := make([]any, len(vs))
	for i, v := range vs {
		ids[i] = int64(v.ID)
	}
	return ids
}

// verdicts returns what the committed transaction came to, in ID order.
func (t *settling) verdicts() []order.Verdict {
	all := t.earlier
	for _, v := range t.fresh {
		all = append(all, *v)
	}
	slices.SortFunc(all, func(a, b order.Verdict) int { return byIdentity(a.Order, b.Order) })
	return all
}
