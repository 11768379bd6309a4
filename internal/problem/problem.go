// Package problem describes failed requests as RFC 9457 has it. Each HTTP API
// keeps a table of problem types; a request fails with one of them.
package problem

import (
	"strconv"
	"time"

	"seckill/internal/appendjson"
	"seckill/internal/lang"
)

// Type is a row of an API's table. Its code never changes; its texts follow
// Accept-Language.
type Type struct {
	Code               string
	Status             int
	RetryMin, RetryMax int  // seconds of Retry-After, drawn between the two; 0: none
	Final              bool // the document has the member final
	En, Zh             Text
}

// NewType returns a row whose requests need not be tried again.
func NewType(code string, status int, en, zh Text) *Type {
	return &Type{Code: code, Status: status, En: en, Zh: zh}
}

// Text is what a person reads of a type.
type Text struct{ Title, Detail string }

// NewText returns a title with its detail.
func NewText(title, detail string) Text { return Text{title, detail} }

// Text returns the type's text in a language.
func (t *Type) Text(l lang.Lang) Text {
	if l == lang.Chinese {
		return t.Zh
	}
	return t.En
}

// Detail replaces the detail of a type where an answer can say more.
type Detail struct{ En, Zh string }

func (d *Detail) in(l lang.Lang) string {
	if l == lang.Chinese {
		return d.Zh
	}
	return d.En
}

// Field is an invalid field: a JSON pointer, or a query parameter as ?name.
type Field struct{ Pointer, Detail string }

// Failure is why one request failed: the only error that a client sees anything
// of.
type Failure struct { //nolint:errname // a failed request; a problem is its type
	*Type

	Detail    *Detail // nil: the type's own
	Cause     error   // logged if the server is at fault, never shown
	Fields    []Field
	Retry     []string // Retry-After; nil: the type's own
	Challenge string   // WWW-Authenticate
	Close     bool     // close the connection instead of reading the rest of the request

	// Members that only the shoppers' API has.
	SoldOutForGood bool      // final: no unit can come back
	StartsAt       time.Time // starts_at, unless zero
	SaleID         int64     // orders_url of this sale, unless 0
	OrderURL       string    // order_url, unless empty
}

// New returns a failure of type t with its cause, which may be nil.
func New(t *Type, cause error) *Failure { return &Failure{Type: t, Cause: cause} }

func (f *Failure) Error() string {
	if f.Cause != nil {
		return f.Code + ": " + f.Cause.Error()
	}
	return f.Code
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Cause }

// Append appends the problem document to b.
func (f *Failure) Append(b []byte, l lang.Lang) []byte {
	text := f.Text(l)
	if f.Detail != nil {
		text.Detail = f.Detail.in(l)
	}
	b = append(b, `{"type":"/problems/`...)
	b = append(b, f.Code...)
	b = append(b, `","title":`...)
	b = appendjson.String(b, text.Title)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(f.Status), 10)
	b = append(b, `,"code":"`...)
	b = append(b, f.Code...)
	b = append(b, `","detail":`...)
	b = appendjson.String(b, text.Detail)
	b = f.appendMembers(b)
	for i, e := range f.Fields {
		if i == 0 {
			b = append(b, `,"errors":[`...)
		} else {
			b = append(b, ',')
		}
		b = append(b, `{"pointer":`...)
		b = appendjson.String(b, e.Pointer)
		b = append(b, `,"detail":`...)
		b = appendjson.String(b, e.Detail)
		b = append(b, '}')
	}
	if len(f.Fields) > 0 {
		b = append(b, ']')
	}
	return append(b, '}')
}

func (f *Failure) appendMembers(b []byte) []byte {
	if f.Final {
		b = append(b, `,"final":`...)
		b = strconv.AppendBool(b, f.SoldOutForGood)
	}
	if !f.StartsAt.IsZero() {
		b = append(b, `,"starts_at":`...)
		b = appendjson.Time(b, f.StartsAt)
	}
	if f.SaleID > 0 {
		b = append(b, `,"orders_url":"/v1/orders?sale_id=`...)
		b = strconv.AppendInt(b, f.SaleID, 10)
		b = append(b, '"')
	}
	if f.OrderURL != "" {
		b = append(b, `,"order_url":`...)
		b = appendjson.String(b, f.OrderURL)
	}
	return b
}
