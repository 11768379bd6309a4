package promise

import (
	"context"

	"seckill/order"
	"seckill/stock"
)

// Returns checks, by the log of changes, that no order was confirmed for a shopper
// who had returned as many as the sale allows, that each return counted once, and
// that Redis knows the counts.
func Returns(ctx context.Context, store Store, ledger *stock.Ledger, sale order.Sale, note Note) error {
	cs, err := store.Changes(ctx, sale.ID, 0, 1<<20)
	if err != nil {
		return err
	}
	returned := map[string]int{}
	for _, c := range cs {
		for _, v := range c.Verdicts {
			n := returned[v.ShopperID]
			switch {
			case v.Status == order.StatusConfirmed && sale.AttemptsPerShopper > 0 && n >= sale.AttemptsPerShopper:
				note("duplicate", "order %d is confirmed, and %s had returned %d", v.ID, v.ShopperID, n)
			case v.Reason == order.ReasonAttemptsUsed && n < sale.AttemptsPerShopper:
				note("lost", "order %d is rejected for %d returns, and %s had returned %d", v.ID, v.Returned, v.ShopperID, n)
			case v.Status == order.StatusCancelled && v.Returned > 0 && v.Returned != n+1:
				note("duplicate", "return %d of %s counts as %d", n+1, v.ShopperID, v.Returned)
			}
			if v.Status == order.StatusCancelled && v.Returned > 0 {
				returned[v.ShopperID]++
			}
		}
	}
	for shopper, n := range returned {
		known, err := ledger.Returned(ctx, sale.ID, shopper)
		if err != nil {
			return err
		}
		if known != n {
			note("leaked", "%s has returned %d; redis has %d", shopper, n, known)
		}
	}
	return nil
}
