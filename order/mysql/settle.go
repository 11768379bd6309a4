package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"

	"seckill/order"
)

// Settle decides every order of a batch, a few hundred at most, in one transaction and
// returns one verdict for each distinct order. An order that has a verdict keeps it
// (Seq 0). Settle retries after deadlocks, lock waits and lost connections a few times.
// After an error the caller backs off and calls again, which finds what was committed.
// An order that MySQL refuses is rejected as poison, without affecting the others.
func (s *Store) Settle(ctx context.Context, batch []order.Order) ([]order.Verdict, error) {
	return s.settle(ctx, order.Distinct(batch))
}

func (s *Store) settle(ctx context.Context, orders []order.Order) ([]order.Verdict, error) {
	if len(orders) == 0 {
		return nil, nil
	}
	prepared := s.inserts.get(ctx, s, len(orders))
	var t *settling
	err := s.retry(ctx, "settle", func(try int) error {
		sales, err := s.terms(ctx, orders)
		if err != nil {
			return err
		}
		return s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			t = newSettling(tx, sales)
			if try == 0 {
				t.prepared = prepared
			}
			return t.run(ctx, orders, try > 0)
		})
	})
	switch {
	case err == nil:
		return order.Settled(t.earlier, t.fresh), nil
	case kindOf(err) != badData:
		return nil, err
	case len(orders) == 1:
		return s.rejectAsPoison(ctx, orders[0], err)
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

// settling is one transaction of a batch: one try.
type settling struct {
	tx       *sql.Tx
	sales    map[int64]*order.Sale // those that exist, see Store.terms
	attempt  uint64                // in each row that this transaction inserts
	prepared []preparedInsert      // largest first

	earlier  []order.Verdict  // of earlier transactions
	fresh    []*order.Verdict // rows of this one
	collided []*order.Verdict // whose ID is another order's
}

// newSettling takes an attempt ID that no other transaction has. If a further try used
// that of an earlier one whose COMMIT succeeded unnoticed, those rows would look new
// and be deducted again.
func newSettling(tx *sql.Tx, sales map[int64]*order.Sale) *settling {
	return &settling{tx: tx, sales: sales, attempt: rand.Uint64()}
}

// maxRounds bounds the rounds of assigning slots; 3 was the most ever seen.
const maxRounds = 8

var errRounds = errors.New("slots keep being taken")

// run settles the orders, which are distinct and in ID order. With readFirst, it reads the
// existing rows before it inserts, which meets fewer locks. A further try does that,
// because it has just lost against other transactions. The first try does not, because
// it costs a third of the speed.
func (t *settling) run(ctx context.Context, orders []order.Order, readFirst bool) error {
	var vs, misplaced []*order.Verdict
	for _, o := range orders {
		sale := t.sales[o.SaleID]
		v := order.Draft(o, sale)
		if vs = append(vs, v); v.Status == order.StatusConfirmed && !sale.HasSlot(v.Slot) {
			misplaced = append(misplaced, v)
		}
	}
	if readFirst {
		absent, err := t.classify(ctx, vs)
		if err != nil {
			return err
		}
		vs, misplaced = absent, absent
	}
	if err := t.assignSlots(ctx, misplaced); err != nil {
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
		if vs, err = t.classify(ctx, vs); err != nil {
			return err
		}
		if err := t.assignSlots(ctx, vs); err != nil {
			return err
		}
	}
	if err := t.addCollisions(ctx); err != nil {
		return err
	}
	return t.closeSales(ctx)
}

// classify reads the rows that have the IDs of vs, and returns the verdicts that
// have none: their slot was taken.
func (t *settling) classify(ctx context.Context, vs []*order.Verdict) (absent []*order.Verdict, err error) {
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
		old := order.Existing(v.Order, r.Record)
		switch {
		case !ok:
			absent = append(absent, v)
		case old.Reason == order.ReasonCollision:
			t.collided = append(t.collided, &old)
		case r.attempt == t.attempt:
			t.fresh = append(t.fresh, v)
		default:
			t.earlier = append(t.earlier, old)
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

// Void rejects an order that has no verdict and returns the verdict: the new one or,
// with Seq 0, the existing one. A message that arrives later finds the row and changes
// nothing.
func (s *Store) Void(ctx context.Context, o order.Order) (order.Verdict, error) {
	return s.insertTombstone(ctx, o, order.ReasonVoid)
}

// rejectAsPoison rejects the one order that MySQL refuses for cause. Its row has none of
// the fields that may be the cause. If even its ID, sale or shopper is refused, the
// verdict is a dead letter.
func (s *Store) rejectAsPoison(ctx context.Context, o order.Order, cause error) ([]order.Verdict, error) {
	s.log.WarnContext(ctx, "order refused by the database", "order_id", o.ID, "sale_id", o.SaleID, "err", cause)
	plain := o
	plain.Reference = ""
	v, err := s.insertTombstone(ctx, plain, order.ReasonPoison)
	if err != nil && kindOf(err) == badData {
		v = *order.Tombstone(o, order.ReasonPoison)
		err = s.AddDeadLetter(ctx, order.VerdictDeadLetter(v, cause.Error(), order.AppendMessage(nil, o)))
	}
	if err != nil {
		return nil, err
	}
	return []order.Verdict{v}, nil
}

// insertTombstone rejects one order for a reason, unless it has a verdict.
func (s *Store) insertTombstone(ctx context.Context, o order.Order, reason order.Reason) (order.Verdict, error) {
	var t *settling
	err := s.retry(ctx, string(reason), func(int) error {
		sales, err := s.terms(ctx, []order.Order{o})
		if err != nil {
			return err
		}
		return s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			t = newSettling(tx, sales)
			return t.insertTombstone(ctx, o, reason)
		})
	})
	if err != nil {
		return order.Verdict{}, err
	}
	return order.Settled(t.earlier, t.fresh)[0], nil
}

func (t *settling) insertTombstone(ctx context.Context, o order.Order, reason order.Reason) error {
	vs := []*order.Verdict{order.Tombstone(o, reason)}
	n, err := t.insert(ctx, vs)
	if err != nil {
		return err
	}
	if n == 1 {
		t.fresh = vs
	} else if absent, err := t.classify(ctx, vs); err != nil {
		return err
	} else if len(absent) > 0 {
		return errRounds // the row was deleted meanwhile, which nothing does
	}
	if err := t.addCollisions(ctx); err != nil {
		return err
	}
	return t.closeSales(ctx)
}
