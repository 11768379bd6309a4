package checkup

import (
	"fmt"
	"time"

	"seckill/order"
	"seckill/stock"
)

// loadAhead is how long before its start a sale loads itself.
const loadAhead = 10 * time.Minute

// Sale judges whether a sale may begin, or go on, at that time: what MySQL says
// of it, and what Redis does.
func Sale(s order.Sale, m stock.Meta, now time.Time) []Finding {
	return []Finding{saleState(s), loaded(s, m, now), window(s, m, now), price(s), units(s)}
}

func saleState(s order.Sale) Finding {
	const name = "sale"
	switch {
	case s.Voided:
		return failure(name, "make a new one: `seckill sale create`", "it is voided")
	case s.State == order.SaleEnded, s.State == order.SaleClosed:
		return failure(name, "make a new one: `seckill sale create`", "it is %s, for good", s.State)
	case s.State == order.SalePaused:
		return warning(name, "`seckill sale resume` lets it sell", "it is paused")
	}
	return well(name, "%q is %s", s.Title, s.State)
}

func loaded(s order.Sale, m stock.Meta, now time.Time) Finding {
	const name = "sale in redis"
	switch {
	case m.Err != nil:
		return failure(name, explainRedis(m.Err), "it cannot be asked: %s", m.Err)
	case !m.Loaded && s.State == order.SaleScheduled && now.Before(s.StartsAt.Add(-loadAhead)):
		return warning(name, "nothing; or `seckill sale open` now, which fixes its price and limits, and run this again",
			"not loaded: it loads itself at %s", s.StartsAt.Add(-loadAhead).Format(time.RFC3339))
	case !m.Loaded:
		return failure(name, "a consumer loads it within a second: does one live, and does it reach MySQL and Redis? Its log says why not; `seckill sale open` does it, too", "not loaded")
	case m.Applied < s.Seq:
		return failure(name, "a consumer brings it there within a second: does one live? `seckill audit` says whether it stays behind", "it knows change %d of %d", m.Applied, s.Seq)
	case m.Available+m.Pending+m.Settled != m.Total:
		return failure(name, "`seckill audit`, then `seckill rebuild`", "%d available, %d pending and %d settled are not the total of %d", m.Available, m.Pending, m.Settled, m.Total)
	}
	return well(name, "loaded: %d of %d units left", m.Available, m.Total)
}

// A window beyond these is more likely a slip than meant.
const (
	shortest = time.Minute
	longest  = 30 * 24 * time.Hour
)

func window(s order.Sale, m stock.Meta, now time.Time) Finding {
	const name = "sale window"
	const advice = "`PATCH /admin/v1/sales/{id}` changes it, while it has not ended"
	lasts := s.EndsAt.Sub(s.StartsAt)
	detail := fmt.Sprintf("%s to %s, %s", s.StartsAt.Format(time.RFC3339), s.EndsAt.Format(time.RFC3339), lasts)
	switch {
	case !s.EndsAt.After(now):
		return failure(name, advice, "it is over: %s", detail)
	case m.Loaded && (!m.StartsAt.Equal(s.StartsAt) || !m.EndsAt.Equal(s.EndsAt)):
		return failure(name, "`seckill audit` says what else differs; `seckill rebuild` loads it anew", "Redis has %s to %s, MySQL %s", m.StartsAt.Format(time.RFC3339), m.EndsAt.Format(time.RFC3339), detail)
	case lasts < shortest || lasts > longest || s.StartsAt.Sub(now) > longest:
		return warning(name, "is that meant? "+advice, "%s", detail)
	}
	return well(name, "%s", detail)
}

func price(s order.Sale) Finding {
	const name = "sale price"
	return rule(s.PriceMinor < 100, Warn, name, "look twice: it counts the smallest unit, and never changes once the sale is open", "%d %s (minor units)", s.PriceMinor, s.Currency)
}

func units(s order.Sale) Finding {
	var found []Finding
	each := s.OrdersPerShopper * s.UnitsPerOrder
	say := func(bad bool, level Level, advice, format string, args ...any) {
		found = append(found, rule(bad, level, "", advice, format, args...))
	}
	say(s.Available <= 0, Fail, "`seckill sale restock --units N`", "nothing is left to sell")
	say(s.Total > 0 && each >= s.Total, Warn, "is that meant? orders_per_shopper and units_per_order are fixed once it is open", "one shopper may buy all of it")
	say(s.PayWithin < shortest || s.PayWithin > 24*time.Hour, Warn, "is that meant? Units of unpaid orders come back after that time", "shoppers have %s to pay", s.PayWithin)
	return several("sale units", fmt.Sprintf("%d of %d left, %d a shopper", s.Available, s.Total, each), found...)
}
