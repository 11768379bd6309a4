package order_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/order"
)

func aSale() order.Sale {
	return order.Sale{
		ID: 1, ExternalID: "x", Title: "t", SKU: "s", PriceMinor: 9900, Currency: "CNY", Total: 10, OrdersPerShopper: 1, UnitsPerOrder: 1,
		StartsAt: time.Unix(1, 0), EndsAt: time.Unix(2, 0), PayWithin: time.Minute,
	}
}

func TestASaleNamesEachFieldThatIsOutOfRange(t *testing.T) {
	t.Parallel()
	require.NoError(t, aSale().Validate())
	for _, c := range []struct {
		field  string
		break_ func(*order.Sale)
	}{
		{"title", func(s *order.Sale) { s.Title = "" }},
		{"title", func(s *order.Sale) { s.Title = strings.Repeat("é", 101) }},
		{"title", func(s *order.Sale) { s.Title = "\xff" }},
		{"sku", func(s *order.Sale) { s.SKU = strings.Repeat("s", 65) }},
		{"external_id", func(s *order.Sale) { s.ExternalID = "a b" }},
		{"external_id", func(s *order.Sale) { s.ExternalID = strings.Repeat("x", 65) }},
		{"price_minor", func(s *order.Sale) { s.PriceMinor = -1 }},
		{"price_minor", func(s *order.Sale) { s.PriceMinor = 1e12 + 1 }},
		{"currency", func(s *order.Sale) { s.Currency = "cny" }},
		{"currency", func(s *order.Sale) { s.Currency = "EURO" }},
		{"currency", func(s *order.Sale) { s.Currency = "EU@" }},
		{"currency", func(s *order.Sale) { s.Currency = "[UR" }},
		{"stock", func(s *order.Sale) { s.Total = -1 }},
		{"stock", func(s *order.Sale) { s.Total = 1e9 + 1 }},
		{"orders_per_shopper", func(s *order.Sale) { s.OrdersPerShopper = 0 }},
		{"attempts_per_shopper", func(s *order.Sale) { s.AttemptsPerShopper = -1 }},
		{"attempts_per_shopper", func(s *order.Sale) { s.AttemptsPerShopper = order.MaxAttempts + 1 }},
		{"orders_per_shopper", func(s *order.Sale) { s.OrdersPerShopper = order.MaxSlots + 1 }},
		{"units_per_order", func(s *order.Sale) { s.UnitsPerOrder = 0 }},
		{"units_per_order", func(s *order.Sale) { s.UnitsPerOrder = order.MaxQuantity + 1 }},
		{"starts_at", func(s *order.Sale) { s.StartsAt = time.Time{} }},
		{"ends_at", func(s *order.Sale) { s.EndsAt = s.StartsAt }},
		{"pay_within", func(s *order.Sale) { s.PayWithin = time.Second - 1 }},
		{"pay_within", func(s *order.Sale) { s.PayWithin = 720*time.Hour + 1 }},
		{"require_claim", func(s *order.Sale) { s.RequireClaim = "=" }},
		{"require_claim", func(s *order.Sale) { s.RequireClaim = "=gold" }},
		{"require_claim", func(s *order.Sale) { s.RequireClaim = "tier=" }},
		{"require_claim", func(s *order.Sale) { s.RequireClaim = "a b" }},
		{"require_claim", func(s *order.Sale) { s.RequireClaim = strings.Repeat("a", 65) }},
		{"require_claim", func(s *order.Sale) { s.RequireClaim = "tier=" + strings.Repeat("a", 65) }},
	} {
		s := aSale()
		c.break_(&s)
		field, ok := errors.AsType[*order.FieldError](s.Validate())
		require.True(t, ok, c.field)
		require.Equal(t, c.field, field.Field)
	}
	most := order.Sale{
		ExternalID: strings.Repeat("x", 64), Title: strings.Repeat("é", 100), SKU: strings.Repeat("s", 64), PriceMinor: 1e12, Currency: "ZAR", Total: 1e9,
		OrdersPerShopper: order.MaxSlots, UnitsPerOrder: order.MaxQuantity, StartsAt: time.Unix(1, 0), EndsAt: time.Unix(1, 1), PayWithin: 720 * time.Hour,
	}
	require.NoError(t, most.Validate())
	least := aSale()
	least.PriceMinor, least.Total, least.PayWithin, least.ExternalID, least.SKU = 0, 0, time.Second, "", ""
	require.NoError(t, least.Validate())
	for _, claim := range []string{"verified_buyer", "https://shop.example/vip", "tier=gold", "tier=a = b", strings.Repeat("n", 64) + "=" + strings.Repeat("v", 64)} {
		s := aSale()
		s.RequireClaim = claim
		require.NoError(t, s.Validate(), claim)
	}
	all := order.Sale{}.Validate()
	for _, field := range []string{"title", "currency", "orders_per_shopper", "units_per_order", "starts_at", "ends_at", "pay_within"} {
		require.ErrorContains(t, all, field)
	}
}

func TestTheSameTermsAreKnownDespiteWhatTheStoreChanged(t *testing.T) {
	t.Parallel()
	kept := aSale().AsCreated()
	require.NoError(t, aSale().Repeats(kept))
	kept.State, kept.Available, kept.Epoch = order.SaleOpen, 3, 5
	require.NoError(t, aSale().Repeats(kept))
	restocked := kept
	restocked.Total = 99
	require.ErrorIs(t, aSale().Repeats(restocked), order.ErrConflict, "nothing has changed it yet")
	restocked.Seq = 1
	require.NoError(t, aSale().Repeats(restocked))
	local := aSale()
	local.StartsAt = local.StartsAt.In(time.FixedZone("CST", 8*3600)).Add(time.Microsecond)
	require.NoError(t, local.Repeats(kept))
	local.PayWithin *= 2
	require.ErrorIs(t, local.Repeats(kept), order.ErrConflict)
	named := aSale()
	named.ID++
	require.NoError(t, named.Repeats(kept), "a sale is found by its external ID")
	unnamed := aSale()
	unnamed.ExternalID = ""
	require.ErrorIs(t, unnamed.Repeats(kept), order.ErrConflict)
	kept.ExternalID = ""
	require.NoError(t, unnamed.Repeats(kept))
	unnamed.ID++
	require.ErrorIs(t, unnamed.Repeats(kept), order.ErrConflict)
}
