package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"seckill/admin"
	adminhttp "seckill/admin/http"
	"seckill/internal/problem"
	"seckill/internal/strictyaml"
	"seckill/order"
)

// maxSaleFile bounds the file; no sale needs as much.
const maxSaleFile = 64 << 10

func readSale(stdin io.Reader, path string) (order.Sale, error) {
	in := stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return order.Sale{}, err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxSaleFile+1))
	if err != nil {
		return order.Sale{}, err
	}
	if len(text) > maxSaleFile {
		return order.Sale{}, fmt.Errorf("%s: more than %d bytes", path, maxSaleFile)
	}
	s, err := parseSale(text)
	if err != nil {
		return s, fmt.Errorf("the sale's file:\n%w", err)
	}
	return s, nil
}

// parseSale reads a sale from JSON, or from YAML, which becomes JSON first: what is
// sent to the operators' API is read in the same way. The error has a line for each
// field that is wrong.
func parseSale(text []byte) (order.Sale, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	lineOf := func(field string) int { return lineIn(text, field) }
	object := text
	if trimmed := bytes.TrimSpace(text); len(trimmed) == 0 || trimmed[0] != '{' {
		fields, err := strictyaml.Parse(text)
		if err != nil {
			return order.Sale{}, err
		}
		if object, err = toJSON(fields); err != nil {
			return order.Sale{}, err
		}
		lineOf = func(field string) int {
			if i := slices.IndexFunc(fields, func(f strictyaml.Field) bool { return f.Key == field }); i >= 0 {
				return fields[i].Line
			}
			return 0
		}
	} else if err := syntax(text); err != nil {
		return order.Sale{}, err
	}
	s, err := adminhttp.DecodeSale(object)
	if err == nil {
		s.StartsAt, s.EndsAt = s.StartsAt.UTC().Truncate(time.Millisecond), s.EndsAt.UTC().Truncate(time.Millisecond)
		err = s.Validate()
	}
	return s, located(err, lineOf)
}

// textFields hold text, even if it looks like a number.
var textFields = []string{"title", "sku", "currency", "external_id", "starts_at", "ends_at", "pay_within", "require_claim"}

// jsonValue matches the whole numbers and truth values that mean the same to
// everybody: no 0100, no 1_000, no yes.
var jsonValue = regexp.MustCompile(`^(-?(0|[1-9][0-9]*)|true|false)$`)

func toJSON(fields []strictyaml.Field) ([]byte, error) {
	values := map[string]json.RawMessage{}
	for _, f := range fields {
		text, err := f.Text()
		if err != nil {
			return nil, err
		}
		if values[f.Key], err = jsonOf(f.Key, text, f.Quoted()); err != nil {
			return nil, err
		}
	}
	return json.Marshal(values)
}

// jsonOf returns the value of a field as JSON.
func jsonOf(field, text string, quoted bool) (json.RawMessage, error) {
	if !slices.Contains(textFields, field) && !quoted && jsonValue.MatchString(text) {
		return json.RawMessage(text), nil
	}
	return json.Marshal(text)
}

// syntax returns the error of a text that is no JSON, with its line.
func syntax(text []byte) error {
	var v any
	err := json.Unmarshal(text, &v)
	if bad, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("line %d: %w", 1+bytes.Count(text[:bad.Offset], []byte("\n")), err)
	}
	return err
}

// lineIn returns the line of a key in JSON.
func lineIn(text []byte, field string) int {
	at := regexp.MustCompile(`"` + regexp.QuoteMeta(field) + `"\s*:`).FindIndex(text)
	if at == nil {
		return 0
	}
	return 1 + bytes.Count(text[:at[0]], []byte("\n"))
}

// located returns what is wrong with the fields, each with its line.
func located(err error, lineOf func(field string) int) error {
	var lines []error
	say := func(field, detail string) {
		at := ""
		if n := lineOf(field); n > 0 {
			at = fmt.Sprintf("line %d: ", n)
		}
		lines = append(lines, errors.New(at+field+": "+detail))
	}
	if f, ok := errors.AsType[*problem.Failure](err); ok {
		for _, bad := range f.Fields {
			field := strings.TrimPrefix(bad.Pointer, "/")
			say(field, bad.Detail+hints[field])
		}
		if lines == nil && f.Detail != nil {
			return errors.New(f.Detail.En)
		} else if lines == nil {
			return errors.New(f.En.Detail)
		}
		return errors.Join(lines...)
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			if bad, ok := errors.AsType[*order.FieldError](err); ok {
				say(bad.Field, bad.Detail)
			}
		}
		return errors.Join(lines...)
	}
	return err
}

// hints say what is most often meant.
var hints = map[string]string{
	"price_minor": " (minor units: CNY 99.00 is 9900)",
	"starts_at":   " (with its time zone, such as +08:00)",
	"ends_at":     " (with its time zone, such as +08:00)",
}

// doubts are what is seldom meant: `sale create` wants to hear it.
func doubts(s order.Sale, now time.Time) (found []string) {
	for doubt, is := range map[string]bool{
		"stock is 0: there is nothing to sell until it is restocked":                         s.Total == 0,
		"price_minor is 0: it costs nothing":                                                 s.PriceMinor == 0,
		"starts_at is past: it would sell as soon as it is opened":                           s.StartsAt.Before(now),
		"ends_at is past: it would never sell":                                               s.EndsAt.Before(now),
		"it sells for more than 31 days":                                                     s.EndsAt.Sub(s.StartsAt) > 31*24*time.Hour,
		"one unit costs " + order.Money(s.PriceMinor, s.Currency):                            s.PriceMinor > 0 && s.PriceMinor < order.MinorUnits(s.Currency),
		fmt.Sprintf("one shopper may take all of it (%d orders)", s.OrdersPerShopper):        s.Total > 1 && s.OrdersPerShopper*s.UnitsPerOrder >= s.Total,
		fmt.Sprintf("one order must be paid within %s, which few shoppers can", s.PayWithin): s.PayWithin < time.Minute,
	} {
		if is {
			found = append(found, doubt)
		}
	}
	slices.Sort(found)
	return found
}

func (p *process) showSale(s order.Sale) error {
	if p.json {
		return writeJSON(p.stdout, admin.ViewSale(s))
	}
	return p.listFields(saleFields(s))
}

// saleFields are the fields of a sale for people.
func saleFields(s order.Sale) [][2]string {
	v := admin.ViewSale(s)
	return [][2]string{
		{"id", v.ID},
		{"external_id", v.ExternalID},
		{"title", strconv.Quote(v.Title)},
		{"sku", v.SKU},
		{"price", money(v.PriceMinor, v.Currency)},
		{"state", stateOf(s)},
		{"window", v.StartsAt + " to " + v.EndsAt},
		{"stock", fmt.Sprintf("%d of %d available", v.Available, v.Total)},
		{"limits", fmt.Sprintf("%d orders a shopper, %d units an order, %s", v.OrdersPerShopper, v.UnitsPerOrder, attempts(v.AttemptsPerShopper))},
		{"pay_within", v.PayWithin},
		{"version", strconv.FormatUint(v.Version, 10)},
		{"require_permit", strconv.FormatBool(v.RequirePermit)},
		{"require_claim", v.RequireClaim},
	}
}

// attempts says how many orders of a sale a shopper may return.
func attempts(n int) string {
	if n == 0 {
		return "any number of attempts"
	}
	return fmt.Sprintf("%d attempts a shopper", n)
}

// money is an amount for people, with what programs call it.
func money(minor int64, currency string) string {
	return fmt.Sprintf("%s (%d %s minor units)", order.Money(minor, currency), minor, currency)
}
