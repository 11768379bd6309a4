package api

import (
	"errors"
	"time"

	"seckill/catalog"
	"seckill/internal/problem"
	"seckill/stock"
)

// refusal is why the local copy of a sale refuses a purchase.
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
	default:
		kind, ok := refusalKind(err)
		if !ok {
			kind = refusedNotLoaded
		}
		return kind, true
	}
}

// refusalKind returns the refusal that an error of package stock stands for.
func refusalKind(err error) (refusal, bool) {
	for _, row := range [...]struct {
		err  error
		kind refusal
	}{
		{stock.ErrSoldOut, refusedSoldOut},
		{stock.ErrNotOpen, refusedNotOpen},
		{stock.ErrEnded, refusedEnded},
		{stock.ErrPaused, refusedPaused},
		{stock.ErrNotLoaded, refusedNotLoaded},
	} {
		if errors.Is(err, row.err) {
			return row.kind, true
		}
	}
	return 0, false
}

// nothingHeld reports whether no order holds units that could come back. Redis
// does not know which orders are paid, so any settled one counts; counters from
// before the last units went do not say who holds them.
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

// failure returns the refusal as an error, for all but the fast path.
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

// refusedByRedis maps the refusal of Redis, which may know more than the local
// copy.
func (s *Server) refusedByRedis(sale *catalog.Snapshot, shopper string, got stock.Reservation) error {
	if kind, ok := refusalKind(got.Err); ok {
		return kind.failure(sale, s.catalog.Now())
	}
	switch {
	case errors.Is(got.Err, stock.ErrAttemptsUsed):
		return &problem.Failure{Type: attemptsUsed, SaleID: sale.ID}
	case errors.Is(got.Err, stock.ErrReturnPause):
		return &problem.Failure{Type: returnPause, SaleID: sale.ID, Retry: problem.Seconds(seconds(got.Wait))}
	case errors.Is(got.Err, stock.ErrPermitSpent):
		return &problem.Failure{Type: permitInvalid, Detail: &permitSpent}
	case !errors.Is(got.Err, stock.ErrPurchaseLimit):
		return reservationUnknown(sale.ID, got.Err)
	}
	f := &problem.Failure{Type: purchaseLimit, SaleID: sale.ID}
	if got.Entry != nil {
		f.Detail = &limitHeld
		f.OrderURL = orderPath(s.sealer.Seal(got.Entry.ID, sale.ID, shopper))
	}
	return f
}
