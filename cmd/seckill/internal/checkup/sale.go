package checkup

import (
	"fmt"
	"time"

	"seckill/order"
	"seckill/stock"
)

// loadAhead is how long before its start a sale is loaded.
const loadAhead = 10 * time.Minute

// Sale checks whether a sale can start or continue at the given time, by its state
// in MySQL and in Redis.
func Sale(s order.Sale, m stock.Meta, now time.Time) []Finding {
	return []Finding{saleState(s), loaded(s, m, now), window(s, m, now), price(s), units(s)}
}

func saleState(s order.Sale) Finding {
	const name = "sale"
	switch {
	case s.Voided:
		return failure(name, "create a new one: `seckill sale create`", "it is voided")
	case s.State == order.SaleEnded, s.State == order.SaleClosed:
		return failure(name, "create a new one: `seckill sale create`", "it is %s for good", s.State)
	case s.State == order.SalePaused:
		return warning(name, "`seckill sale resume` resumes it", "it is paused")
	}
	return well(name, "%q is %s", s.Title, s.State)
}

func loaded(s order.Sale, m stock.Meta, now time.Time) Finding {
	const name = "sale in redis"
	switch {
	case m.Err != nil:
		return failure(name, explainRedis(m.Err), "it cannot be read: %s", m.Err)
	case !m.Loaded && s.State == order.SaleScheduled && now.Before(s.StartsAt.Add(-loadAhead)):
		return warning(name, "nothing is to do; or open it now with `seckill sale open`, which fixes its price and limits, and check again",
			"not loaded: a consumer loads it at %s", s.StartsAt.Add(-loadAhead).Format(time.RFC3339))
	case !m.Loaded:
		return failure(name, "a consumer loads it within a second: check that one runs and reaches MySQL and Redis, and see its log; `seckill sale open` loads it, too", "not loaded")
	case m.Applied < s.Seq:
		return failure(name, "a consumer updates it within a second: check that one runs; `seckill audit` shows whether it stays behind", "it has change %d of %d", m.Applied, s.Seq)
	case m.Available+m.Pending+m.Settled != m.Total:
		return failure(name, "run `seckill audit`, then `seckill rebuild`", "%d available, %d pending and %d settled do not add up to the total of %d", m.Available, m.Pending, m.Settled, m.Total)
	}
	return well(name, "loaded: %d of %d units left", m.Available, m.Total)
}

// A window beyond these is probably a mistake.
const (
	shortest = time.Minute
	longest  = 30 * 24 * time.Hour
)

func window(s order.Sale, m stock.Meta, now time.Time) Finding {
	const name = "sale window"
	const advice = "`PATCH /admin/v1/sales/{id}` changes it until the sale has ended"
	lasts := s.EndsAt.Sub(s.StartsAt)
	detail := fmt.Sprintf("%s to %s, %s", s.StartsAt.Format(time.RFC3339), s.EndsAt.Format(time.RFC3339), lasts)
	switch {
	case !s.EndsAt.After(now):
		return failure(name, advice, "it is over: %s", detail)
	case m.Loaded && (!m.StartsAt.Equal(s.StartsAt) || !m.EndsAt.Equal(s.EndsAt)):
		return failure(name, "`seckill audit` shows what else differs; `seckill rebuild` loads it again", "Redis has %s to %s, MySQL %s", m.StartsAt.Format(time.RFC3339), m.EndsAt.Format(time.RFC3339), detail)
	case lasts < shortest || lasts > longest || s.StartsAt.Sub(now) > longest:
		return warning(name, "check that this is intended: "+advice, "%s", detail)
	}
	return well(name, "%s", detail)
}

func price(s order.Sale) Finding {
	const name = "sale price"
	return rule(s.PriceMinor < order.MinorUnits(s.Currency), Warn, name, "check it: it is in minor units (such as cents) and cannot change once the sale is open",
		"%s (%d %s minor units)", order.Money(s.PriceMinor, s.Currency), s.PriceMinor, s.Currency)
}

func units(s order.Sale) Finding {
	var found []Finding
	each := s.OrdersPerShopper * s.UnitsPerOrder
	say := func(bad bool, level Level, advice, format string, args ...any) {
		found = append(found, rule(bad, level, "", advice, format, args...))
	}
	say(s.Available <= 0, Fail, "`seckill sale restock --units N`", "nothing is left to sell")
	say(s.Total > 0 && each >= s.Total, Warn, "check that this is intended: orders_per_shopper and units_per_order cannot change once it is open", "one shopper may buy all units")
	say(s.PayWithin < shortest || s.PayWithin > 24*time.Hour, Warn, "check that this is intended: units of unpaid orders come back after this time", "shoppers have %s to pay", s.PayWithin)
	return several("sale units", fmt.Sprintf("%d of %d left, %d a shopper", s.Available, s.Total, each), found...)
}
