package mysql

import (
	"context"
	"database/sql"

	"seckill/order"
)

// Void rejects an order that nobody has decided and returns its verdict: the
// new one or, with Seq 0, the one that stands. A message that still arrives
// finds the row and does nothing.
func (s *Store) Void(ctx context.Context, o order.Order) (order.Verdict, error) {
	return s.fenceOff(ctx, o, order.ReasonVoid)
}

// condemn is the verdict on the one order of a batch that MySQL refuses, with
// cause: a row without the fields that may be to blame or, where the order's
// very identity is, a dead letter.
func (s *Store) condemn(ctx context.Context, o order.Order, cause error) ([]order.Verdict, error) {
	s.log.WarnContext(ctx, "order refused by the database", "order_id", o.ID, "sale_id", o.SaleID, "err", cause)
	plain := o
	plain.Reference = ""
	v, err := s.fenceOff(ctx, plain, order.ReasonPoison)
	if err != nil && kindOf(err) == badData {
		v = fence(o, order.ReasonPoison)
		err = s.Bury(ctx, order.DeadLetter{
			OrderID: o.ID, SaleID: o.SaleID, ShopperID: o.ShopperID,
			Reason: string(order.ReasonPoison), Detail: cause.Error(), Body: order.AppendMessage(nil, o),
		})
	}
	if err != nil {
		return nil, err
	}
	return []order.Verdict{v}, nil
}

// fenceOff settles one order as rejected for a reason, unless it has a verdict.
func (s *Store) fenceOff(ctx context.Context, o order.Order, reason order.Reason) (order.Verdict, error) {
	var t *settling
	err := s.retry(ctx, string(reason), func(int) error {
		terms, err := s.saleTerms(ctx, []order.Order{o})
		if err != nil {
			return err
		}
		return s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			t = newSettling(tx, terms)
			return t.fenceOff(ctx, o, reason)
		})
	})
	if err != nil {
		return order.Verdict{}, err
	}
	return t.verdicts()[0], nil
}

func (t *settling) fenceOff(ctx context.Context, o order.Order, reason order.Reason) error {
	v := fence(o, reason)
	vs := []*order.Verdict{&v}
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
