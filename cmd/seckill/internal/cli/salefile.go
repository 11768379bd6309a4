package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"

	"seckill/admin"
	"seckill/order"
)

// saleFile is the file of a sale, in YAML or JSON.
type saleFile struct {
	ExternalID       string    `yaml:"external_id"`
	Title            string    `yaml:"title"`
	SKU              string    `yaml:"sku"`
	PriceMinor       *int64    `yaml:"price_minor"`
	Currency         string    `yaml:"currency"`
	Stock            *int      `yaml:"stock"`
	OrdersPerShopper int       `yaml:"orders_per_shopper"`
	UnitsPerOrder    int       `yaml:"units_per_order"`
	StartsAt         time.Time `yaml:"starts_at"`
	EndsAt           time.Time `yaml:"ends_at"`
	PayWithin        string    `yaml:"pay_within"`
	RequirePermit    bool      `yaml:"require_permit"`
	RequireClaim     string    `yaml:"require_claim"`
}

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
	return parseSale(text)
}

func parseSale(text []byte) (order.Sale, error) {
	file := saleFile{OrdersPerShopper: 1, UnitsPerOrder: 1, PayWithin: "10m"}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil {
		if errors.Is(err, io.EOF) {
			return order.Sale{}, errors.New("the sale's file is empty")
		}
		return order.Sale{}, fmt.Errorf("the sale's file: %w", err)
	}
	var errs []error
	if file.PriceMinor == nil {
		errs = append(errs, errors.New("price_minor: is missing"))
		file.PriceMinor = new(int64)
	}
	if file.Stock == nil {
		errs = append(errs, errors.New("stock: is missing"))
		file.Stock = new(int)
	}
	payWithin, err := time.ParseDuration(file.PayWithin)
	if err != nil {
		errs = append(errs, fmt.Errorf("pay_within: want a duration such as 10m, got %q", file.PayWithin))
		payWithin = time.Minute
	}
	s := order.Sale{
		ExternalID: file.ExternalID, Title: file.Title, SKU: file.SKU,
		PriceMinor: *file.PriceMinor, Currency: file.Currency, Total: *file.Stock,
		OrdersPerShopper: file.OrdersPerShopper, UnitsPerOrder: file.UnitsPerOrder,
		StartsAt: file.StartsAt.UTC().Truncate(time.Millisecond), EndsAt: file.EndsAt.UTC().Truncate(time.Millisecond),
		PayWithin: payWithin, RequirePermit: file.RequirePermit, RequireClaim: file.RequireClaim,
	}
	errs = append(errs, s.Validate())
	return s, errors.Join(errs...)
}

func (p *process) showSale(s order.Sale) error {
	v := admin.ViewSale(s)
	if p.json {
		return writeJSON(p.stdout, v)
	}
	state := v.State
	if v.Voided {
		state += ", voided"
	}
	return p.listFields([][2]string{
		{"id", v.ID},
		{"external_id", v.ExternalID},
		{"title", strconv.Quote(v.Title)},
		{"sku", v.SKU},
		{"price", fmt.Sprintf("%d %s (minor units)", v.PriceMinor, v.Currency)},
		{"state", state},
		{"window", v.StartsAt + " to " + v.EndsAt},
		{"stock", fmt.Sprintf("%d of %d available", v.Available, v.Total)},
		{"limits", fmt.Sprintf("%d orders a shopper, %d units an order", v.OrdersPerShopper, v.UnitsPerOrder)},
		{"pay_within", v.PayWithin},
		{"version", strconv.FormatUint(v.Version, 10)},
		{"require_permit", strconv.FormatBool(v.RequirePermit)},
		{"require_claim", v.RequireClaim},
	})
}
