package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seckill/admin"
)

const (
	goodSale = `{"title":"t","price_minor":1,"currency":"CNY","stock":5,"starts_at":"2030-01-01T00:00:00Z","ends_at":"2030-01-02T00:00:00+08:00"}`
	yamlSale = "title: t\nprice_minor: 9900\ncurrency: CNY\nstock: 5\nstarts_at: 2030-01-01T00:00:00Z\nends_at: 2030-01-02T00:00:00Z\n"
)

func TestASaleFileIsYAMLOrJSON(t *testing.T) {
	t.Parallel()
	s, err := parseSale([]byte(goodSale))
	require.NoError(t, err)
	require.Equal(t, 5, s.Total)
	require.Equal(t, 1, s.OrdersPerShopper)
	require.Equal(t, 3, s.AttemptsPerShopper)
	require.Equal(t, time.Date(2030, 1, 1, 16, 0, 0, 0, time.UTC), s.EndsAt)
	s, err = parseSale([]byte("\ufeff" + yamlSale + "pay_within: 90s\nsku: 0042\nrequire_permit: true\n"))
	require.NoError(t, err)
	require.Equal(t, 90*time.Second, s.PayWithin)
	require.Equal(t, "0042", s.SKU, "text stays text")
	require.True(t, s.RequirePermit)
	require.Equal(t, int64(9900), s.PriceMinor)
	s, err = parseSale([]byte(strings.TrimSuffix(goodSale, "}") + `,"require_permit":true,"require_claim":"tier=gold"}`))
	require.NoError(t, err)
	require.Equal(t, "tier=gold", admin.ViewSale(s).RequireClaim)
	s, err = parseSale([]byte(strings.Replace(goodSale, `"t"`, `"\ud83d\udc5f"`, 1)))
	require.NoError(t, err)
	require.Equal(t, "👟", s.Title)
}

func TestASaleFileIsReadStrictly(t *testing.T) {
	t.Parallel()
	yaml := func(line string) string {
		field, _, _ := strings.Cut(line, ":")
		lines := strings.Split(yamlSale, "\n")
		for i, l := range lines {
			if strings.HasPrefix(l, field+":") {
				lines[i] = line
				return strings.Join(lines, "\n")
			}
		}
		return yamlSale + line + "\n"
	}
	for text, says := range map[string]string{
		"":                                     "empty",
		yaml("price_minor: 99.5"):              "line 2: price_minor: must be a whole number, not \"99.5\" (minor units",
		yaml("price_minor: 99.00"):             "line 2: price_minor: must be a whole number",
		yaml("price_minor: 1999.00"):           "line 2: price_minor",
		yaml("price_minor: 1e3"):               "line 2: price_minor",
		yaml("price_minor: 1_000"):             "line 2: price_minor",
		yaml("price_minor: \"9900\""):          "line 2: price_minor",
		yaml("price_minor: ¥99"):               "line 2: price_minor",
		yaml("price_minor:"):                   "line 2: price_minor",
		yaml("stock: 0100"):                    "line 4: stock: must be a whole number, not \"0100\"",
		yaml("stock: 0x10"):                    "line 4: stock",
		yaml("stock: 0o7"):                     "line 4: stock",
		yaml("stock: -1"):                      "line 4: stock: must be 0 to 1e9",
		yaml("stock: 99999999999999999999"):    "line 4: stock",
		yaml("starts_at: 2027-01-01 10:00:00"): "line 5: starts_at: must be a time such as",
		yaml("starts_at: 2027-01-01"):          "line 5: starts_at",
		yaml("starts_at: 2027-01-01T10:00:00"): "time zone",
		yaml("currency: RMB"):                  "line 3: currency: must be a code of ISO 4217",
		yaml("currency: cny"):                  "line 3: currency",
		yaml("currency: XXX"):                  "line 3: currency",
		yaml("require_permit: yes"):            "line 7: require_permit: must be true or false",
		yaml("prise_minor: 1"):                 "line 7: prise_minor: is not known here (did you mean price_minor?)",
		yaml("prise_minor: 1\ncolour: red"):    "line 8: colour: is not known here",
		yaml("Title: x"):                       "line 7: Title: must be written in lower case",
		strings.Replace(goodSale, `"stock":5`, "\n\"stok\":5", 1):        "line 2: stok: is not known here (did you mean stock?)",
		yamlSale + "stock: 6\n":                                          "line 7: stock is there a second time, after line 4",
		yamlSale + "---\ntitle: u\n":                                     "after the first document",
		yamlSale + "sku: [1]\n":                                          "line 7: must be one value",
		strings.Replace(goodSale, `"stock":5`, `"stock":5,"stock":6`, 1): "at most once",
		strings.Replace(goodSale, `"stock":5`, `"stock":5.5`, 1):         "stock: must be a whole number, not 5.5",
		strings.Replace(goodSale, `,"stock":5`, "", 1):                   "stock: is missing",
		strings.Replace(goodSale, `"stock":5`, "\n\n\"stock\":,", 1):     "line 3: invalid character",
		goodSale + " {}": "line 1",
		`{"title":"","price_minor":1,"currency":"yuan","stock":-1,"starts_at":"2030-01-01T00:00:00Z","ends_at":"2029-01-01T00:00:00Z"}`: "ends_at: must be after starts_at",
		strings.TrimSuffix(goodSale, "}") + `,"require_claim":"="}`:                                                                     "require_claim",
		strings.TrimSuffix(goodSale, "}") + `,"require_permit":"soon"}`:                                                                 "soon",
	} {
		_, err := parseSale([]byte(text))
		require.ErrorContains(t, err, says, text)
	}
	_, err := parseSale([]byte(`{"title":"","price_minor":1,"currency":"yuan","stock":-1,"starts_at":"2030-01-01T00:00:00Z","ends_at":"2029-01-01T00:00:00Z"}`))
	for _, field := range []string{"title", "currency", "stock", "ends_at"} {
		require.ErrorContains(t, err, field, "every bad field is named")
	}
}

func TestWhatIsSeldomIntendedIsAskedFor(t *testing.T) {
	t.Parallel()
	now := time.Date(2029, 12, 20, 0, 0, 0, 0, time.UTC)
	good, err := parseSale([]byte(yamlSale))
	require.NoError(t, err)
	require.Empty(t, doubts(good, now))
	for line, says := range map[string]string{
		"stock: 0": "nothing to sell", "price_minor: 0": "costs nothing", "price_minor: 99": "one unit costs ¥0.99", "pay_within: 5s": "within 5s",
		"starts_at: 2029-12-19T00:00:00Z": "starts_at is past", "ends_at: 2031-01-01T00:00:00Z": "more than 31 days", "orders_per_shopper: 5": "all of it",
	} {
		field, _, _ := strings.Cut(line, ":")
		var lines []string
		for l := range strings.Lines(yamlSale) {
			if !strings.HasPrefix(l, field+":") {
				lines = append(lines, l)
			}
		}
		s, err := parseSale([]byte(strings.Join(lines, "") + line + "\n"))
		require.NoError(t, err, line)
		require.Len(t, doubts(s, now), 1, line)
		require.Contains(t, doubts(s, now)[0], says)
	}
	require.Contains(t, doubts(good, good.EndsAt.AddDate(0, 0, 1)), "ends_at is past: it would never sell")
	require.Empty(t, doubts(good, now.AddDate(-5, 0, 0)), "the dates of the examples are far away")
}
