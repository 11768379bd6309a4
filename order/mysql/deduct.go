package mysql

import (
	"context"
	"errors"
	"fmt"

	"seckill/internal/telemetry"
	"seckill/order"
)

const (
	deductUnits = `UPDATE sales SET available = available - ?, seq = LAST_INSERT_ID(seq + 1) WHERE id = ? AND available >= ?`
	// Where nobody has returned as many orders as the sale allows, which is so in most
	// sales, this condition is all that the limit costs.
	allMayBuy = ` AND (attempts_per_shopper = 0 OR most_returned < attempts_per_shopper)`
	lockSale  = `SELECT available, attempts_per_shopper, most_returned FROM sales WHERE id = ? FOR UPDATE`
	// On a small table MySQL would scan instead of using the key, and wait for the rows
	// of other batches while it holds the lock of the sale's row.
	rejectOrders = `UPDATE orders FORCE INDEX (PRIMARY) SET live = NULL, status = 'rejected', reason = ?,
		decided_at = NOW(3), pay_by = NULL WHERE id IN (`
)

var errNoFit = errors.New("a locked sale has fewer units than it had")

// closeSales is the end of a transaction: it updates the rows of its sales, which
// every other batch needs, in ascending order, and writes each sale's change. A sale
// without new verdicts takes no seq.
func (t *settling) closeSales(ctx context.Context) error {
	for saleID, vs := range order.BySale(t.fresh) {
		sale := t.sales[saleID]
		if sale == nil {
			continue
		}
		if sale.OrdersPerShopper > 1 {
			if err := t.oneOrderPerKey(ctx, saleID, vs); err != nil {
				return err
			}
		}
		if err := t.closeSale(ctx, saleID, vs); err != nil {
			return err
		}
	}
	return nil
}

// oneOrderPerKey rejects the orders whose key another live order of the shopper has.
// Two orders with one key can exist only if a shopper has several slots (Redis may
// have lost the first order). It reads under the sale's lock, where all other
// transactions of the sale are committed or waiting.
func (t *settling) oneOrderPerKey(ctx context.Context, saleID int64, vs []*order.Verdict) error {
	if _, _, _, err := t.lock(ctx, saleID); err != nil {
		return err
	}
	held, err := t.liveOrders(ctx, saleID, vs)
	if err != nil {
		return err
	}
	return t.reject(ctx, order.RepeatedKeys(vs, held), order.ReasonPurchaseLimit)
}

// closeSale rejects the orders of shoppers who have returned too many, deducts the
// units of the others and writes the change.
func (t *settling) closeSale(ctx context.Context, saleID int64, vs []*order.Verdict) error {
	seq, err := t.deduct(ctx, saleID, vs, deductUnits+allMayBuy)
	if errors.Is(err, errNoFit) { // reject what may not be bought or does not fit, then deduct the rest
		if err = t.cut(ctx, saleID, vs); err == nil {
			seq, err = t.deduct(ctx, saleID, vs, deductUnits)
		}
	}
	if err != nil {
		return err
	}
	return writeChange(ctx, t.tx, order.NewChange(saleID, seq, vs))
}

// deduct takes the units and the next seq by an update, or the error is errNoFit: the
// update takes nothing then.
func (t *settling) deduct(ctx context.Context, saleID int64, vs []*order.Verdict, update string) (seq uint64, err error) {
	units := 0
	for _, v := range vs {
		if v.Status == order.StatusConfirmed {
			units += v.Quantity
		}
	}
	n, last, err := exec(ctx, t.tx, update, units, saleID, units)
	if err == nil && n != 1 {
		err = errNoFit
	}
	if err != nil {
		return 0, fmt.Errorf("deduct: %w", err)
	}
	return uint64(last), nil
}

// cut rejects the orders of shoppers who have returned as many as the sale allows and,
// in ID order, each order that the available units do not suffice for.
func (t *settling) cut(ctx context.Context, saleID int64, vs []*order.Verdict) error {
	available, attempts, most, err := t.lock(ctx, saleID)
	if err != nil {
		return err
	}
	if attempts > 0 && most >= attempts {
		returned, err := returnedBy(ctx, t.tx, saleID, vs)
		if err != nil {
			return err
		}
		if err := t.reject(ctx, order.UsedUp(vs, returned, attempts), order.ReasonAttemptsUsed); err != nil {
			return err
		}
	}
	return t.reject(ctx, order.Unsupplied(vs, available), order.ReasonSoldOut)
}

// lock locks the sale's row. The limit is as of now, not of up to a second ago.
func (t *settling) lock(ctx context.Context, saleID int64) (available, attempts, most int, err error) {
	ctx, span := telemetry.Statement(ctx, lockSale)
	err = t.tx.QueryRowContext(ctx, lockSale, saleID).Scan(&available, &attempts, &most)
	endStatement(span, err)
	if err != nil {
		return 0, 0, 0, fmt.Errorf("lock sale: %w", err)
	}
	return available, attempts, most, nil
}

// reject turns rows of this transaction into rejections. They are committed: a
// rollback would deadlock with redeliveries that wait for the rows.
func (t *settling) reject(ctx context.Context, vs []*order.Verdict, reason order.Reason) error {
	if len(vs) == 0 {
		return nil
	}
	for _, v := range vs {
		v.Status, v.Reason = order.StatusRejected, reason
	}
	args := append([]any{string(reason)}, idsOf(vs)...)
	if _, _, err := exec(ctx, t.tx, rejectOrders+repeat("?", len(vs))+`)`, args...); err != nil {
		return fmt.Errorf("reject: %w", err)
	}
	return nil
}
