package api

import (
	"errors"
	"time"

	"seckill/catalog"
	"seckill/internal/problem"
	"seckill/stock"
)

// refusal is why the local copy refuses a purchase.
type refusal uint8

const (
	refusedSoldOut refusal = iota
	refusedSoldOutForGood
	refusedNotOpen
	refusedEnded
	refusedPaused
	refusedNotLoaded
	refusalKinds
)

func (k refusal) problem() *problem.Type {
	return [refusalKinds]*problem.Type{soldOut, soldOut, saleNotOpen, saleEnded, salePaused, dependencyDown}[k]
}

// refusalOf asks the local copy.
func refusalOf(sale *catalog.Snapshot, now time.Time) (refusal, bool) {
	switch err := sale.Refusal(now); {
	case err == nil:
		return 0, false
	case errors.Is(err, stock.ErrSoldOut):
		if nothingHeld(sale) {
			return refusedSoldOutForGood, true
		}
		return refusedSoldOut, true
	case errors.Is(err, stock.ErrNotOpen):
		return refusedNotOpen, true
	case errors.Is(err, stock.ErrEnded):
		return refusedEnded, true
	case errors.Is(err, stock.ErrPaused):
		return refusedPaused, true
	default:
		return refusedNotLoaded, true
	}
}

// nothingHeld reports whether no order holds units that could come back. Redis
// does not know which orders are paid, so any settled one counts; and counters
// from before the last units went say nothing of who holds them.
func nothingHeld(sale *catalog.Snapshot) bool {
	return sale.Meta.Available <= 0 && sale.Meta.Pending == 0 && sale.Meta.Settled == 0
}

// retryWhen returns the Retry-After of a refusal: the start of a sale that has
// not begun, else the problem's own.
func retryWhen(p *problem.Type, sale *catalog.Snapshot, now time.Time) []string {
	if p == saleNotOpen && sale.StartsAt.After(now) {
		return problem.Seconds(seconds(sale.StartsAt.Sub(now)))
	}
	return problem.RetryAfter(p.RetryMin, p.RetryMax)
}

// failure returns the refusal as an error, for those who come to it later.
func (k refusal) failure(sale *catalog.Snapshot, now time.Time) *problem.Failure {
	f := &problem.Failure{Type: k.problem(), SaleID: sale.ID, SoldOutForGood: k == refusedSoldOutForGood}
	if k == refusedNotLoaded {
		f = notReserved(nil)
	}
	if k == refusedNotOpen {
		f.StartsAt = sale.StartsAt
	}
	if f.RetryMin > 0 {
		f.Retry = retryWhen(f.Type, sale, now)
	}
	return f
}
