package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"go.yaml.in/yaml/v3"

	"seckill/order"
)

// saleFile is a sale as an operator writes it, in YAML or JSON.
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

// maxSaleFile is more than any sale needs.
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

// saleView is a sale as a program reads it.
type saleView struct {
	ID               string `json:"id"`
	ExternalID       string `json:"external_id,omitempty"`
	Title            string `json:"title"`
	SKU              string `json:"sku"`
	PriceMinor       int64  `json:"price_minor"`
	Currency         string `json:"currency"`
	State            string `json:"state"`
	StartsAt         string `json:"starts_at"`
	EndsAt           string `json:"ends_at"`
	OrdersPerShopper int    `json:"orders_per_shopper"`
	UnitsPerOrder    int    `json:"units_per_order"`
	Total            int    `json:"total"`
	Available        int    `json:"available"`
	PayWithin        string `json:"pay_within"`
	RequirePermit    bool   `json:"require_permit,omitempty"`
	RequireClaim     string `json:"require_claim,omitempty"`
	Seq              uint64 `json:"seq"`
}

const rfc3339Millis = "2006-01-02T15:04:05.000Z07:00"

func viewSale(s order.Sale) saleView {
	return saleView{
		ID: strconv.FormatInt(s.ID, 10), ExternalID: s.ExternalID, Title: s.Title, SKU: s.SKU,
		PriceMinor: s.PriceMinor, Currency: s.Currency, State: string(s.State),
		StartsAt: s.StartsAt.UTC().Format(rfc3339Millis), EndsAt: s.EndsAt.UTC().Format(rfc3339Millis),
		OrdersPerShopper: s.OrdersPerShopper, UnitsPerOrder: s.UnitsPerOrder,
		Total: s.Total, Available: s.Available, PayWithin: s.PayWithin.String(), Seq: s.Seq,
		RequirePermit: s.RequirePermit, RequireClaim: s.RequireClaim,
	}
}

func (p *process) showSale(s order.Sale) error {
	v := viewSale(s)
	if p.json {
		return writeJSON(p.stdout, v)
	}
	t := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{
		{"id", v.ID},
		{"external_id", v.ExternalID},
		{"title", strconv.Quote(v.Title)},
		{"sku", v.SKU},
		{"price", fmt.Sprintf("%d %s (minor units)", v.PriceMinor, v.Currency)},
		{"state", v.State},
		{"window", v.StartsAt + " to " + v.EndsAt},
		{"stock", fmt.Sprintf("%d of %d available", v.Available, v.Total)},
		{"limits", fmt.Sprintf("%d orders a shopper, %d units an order", v.OrdersPerShopper, v.UnitsPerOrder)},
		{"pay_within", v.PayWithin},
		{"require_permit", strconv.FormatBool(v.RequirePermit)},
		{"require_claim", v.RequireClaim},
	} {
		fmt.Fprintf(t, "%s\t%s\n", row[0], row[1])
	}
	return t.Flush()
}
