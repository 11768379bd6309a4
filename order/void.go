package order

import (
	"context"
	"database/sql"
)

// Void rejects an order that nobody has decided and returns its verdict: the
// new one or, with Seq 0, the one that stands. A message that still arrives
// finds the row and does nothing.
func (s *Store) Void(ctx context.Context, o Order) (Verdict, error) {
	return s.fenceOff(ctx, o, ReasonVoid)
}

// condemn is the verdict on the one order of a batch that MySQL refuses, with
// cause: a row without the fields that may be to blame or, where the order's
// very identity is, a dead letter.
func (s *Store) condemn(ctx context.Context, o Order, cause error) ([]Verdict, error) {
	s.log.WarnContext(ctx, "order refused by the database", "order_id", o.ID, "sale_id", o.SaleID, "err", cause)
	plain := o
	plain.Reference = ""
	v, err := s.fenceOff(ctx, plain, ReasonPoison)
	if err != nil && kindOf(err) == badData {
		v = fence(o, ReasonPoison)
		err = s.Bury(ctx, DeadLetter{
			OrderID: o.ID, SaleID: o.SaleID, ShopperID: o.ShopperID,
			Reason: string(ReasonPoison), Detail: cause.Error(), Body: AppendMessage(nil, o),
		})
	}
	if err != nil {
		return nil, err
	}
	return []Verdict{v}, nil
}

// fenceOff settles one order as rejected for a reason, unless it has a verdict.
func (s *Store) fenceOff(ctx context.Context, o Order, reason Reason) (Verdict, error) {
	var t *settling
	err := s.retry(ctx, string(reason), func(int) error {
		terms, err := s.saleTerms(ctx, []Order{o})
		if err != nil {
			return err
		}
		return s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			t = newSettling(tx, terms)
			return t.fenceOff(ctx, o, reason)
		})
	})
	if err != nil {
		return Verdict{}, err
	}
	return t.verdicts()[0], nil
}

func (t *settling) fenceOff(ctx context.Context, o Order, reason Reason) error {
	v := fence(o, reason)
	vs := []*Verdict{&v}
	n, err := t.insert(ctx, vs)
	if err != nil {
		return err
	}
	if n == 1 {
		t.fresh = vs
	} else if absent, err := t.sift(ctx, vs); err != nil {
		return err
	} else if len(absent) > 0 {
		return errRounds // deleted meanwhile, which nobody does
	}
	if err := t.collide(ctx); err != nil {
		return err
	}
	return t.closeSales(ctx)
}
