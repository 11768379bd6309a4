package adminhttp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"seckill/admin"
	"seckill/internal/problem"
	"seckill/internal/suggest"
	"seckill/order"
)

// list is a page of something, newest first; Next is the cursor of the next one, empty
// at the end.
type list[V any] struct {
	Items []V    `json:"items"`
	Next  string `json:"next_cursor,omitempty"`
}

// listOf returns a list of the views of all items.
func listOf[T, V any](items []T, view func(T) V) list[V] {
	return list[V]{Items: admin.Views(items, view)}
}

// pageOf is listOf for a page of at most limit items; a full one may have a successor.
func pageOf[T, V any](items []T, limit int, view func(T) V, id func(V) string) list[V] {
	l := listOf(items, view)
	if len(items) == limit {
		l.Next = id(l.Items[limit-1])
	}
	return l
}

// input reads a request. It keeps the first error; then the values are zero.
type input struct {
	*http.Request

	by    order.Operator
	query url.Values
	err   error
}

func inputOf(r *http.Request) *input { return &input{Request: r, by: By(r.Context())} }

func (in *input) fail(err error) {
	if in.err == nil {
		in.err = err
	}
}

// call returns the request as a call of the service, with If-Match if it was sent.
func (in *input) call() admin.Call {
	c := admin.Call{By: in.by, Command: admin.NewCommand()}
	if keys, sent := in.Header["Idempotency-Key"]; sent {
		if len(keys) != 1 || keys[0] == "" || !order.ValidReference(keys[0]) {
			in.fail(problem.New(keyInvalid, nil))
		}
		c.Command = admin.CommandID(c.By.Name, keys[0])
	}
	if tags, sent := in.Header["If-Match"]; sent {
		n, err := strconv.ParseUint(strings.Trim(tags[0], `"`), 10, 64)
		if len(tags) != 1 || err != nil || n == 0 || tags[0] != etag(n) {
			in.fail(problem.New(ifMatchInvalid, nil))
		}
		c.IfVersion = n
	}
	return c
}

// change is call for an action that requires If-Match.
func (in *input) change() admin.Call {
	c := in.call()
	if c.IfVersion == 0 {
		in.fail(problem.New(preconditionRequired, nil))
	}
	return c
}

func etag(version uint64) string { return `"` + strconv.FormatUint(version, 10) + `"` }

// queryOf reads the parameters of a request. It refuses an unknown one, and one that is
// sent twice.
func queryOf(r *http.Request, known ...string) *input {
	in := inputOf(r)
	var err error
	if in.query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		in.fail(invalid("?", "is not a query string"))
	}
	for name, values := range in.query {
		if !slices.Contains(known, name) {
			in.fail(because(unexpectedField, fmt.Sprintf("Unknown parameter %q%s; the known ones are %s.", name, suggest.Remark(name, known), strings.Join(known, ", "))))
		} else if len(values) != 1 {
			in.fail(invalid("?"+name, "must have one value"))
		}
	}
	return in
}

// number reads a whole number from 1 to most; 0 if it was not sent.
func (in *input) number(name string, most int64, rule string) int64 {
	if !in.query.Has(name) {
		return 0
	}
	n, err := strconv.ParseInt(in.query.Get(name), 10, 64)
	if err != nil || n <= 0 || n > most {
		in.fail(invalid("?"+name, rule))
	}
	return n
}

func (in *input) positive(name string) int64 {
	return in.number(name, math.MaxInt64, "must be a whole number above 0")
}

// page reads cursor and limit.
func (in *input) page() (before int64, limit int) {
	return in.positive("cursor"), in.limit()
}

func (in *input) limit() int {
	n := in.number("limit", maxLimit, "must be 1 to "+strconv.Itoa(maxLimit))
	return int(cmp.Or(n, pageSize))
}

// flag reads true or false; false if it was not sent.
func (in *input) flag(name string) bool {
	switch in.query.Get(name) {
	case "true":
		return true
	case "false":
		return false
	}
	if in.query.Has(name) {
		in.fail(invalid("?"+name, "must be true or false"))
	}
	return false
}

// sale reads the sale in the path: its ID or its external ID. Call it after all else
// is read: it asks MySQL.
func (h *Handler) sale(ctx context.Context, in *input) int64 {
	if in.err != nil {
		return 0
	}
	n, err := order.ParseSaleName(in.PathValue("id"))
	if err != nil {
		in.fail(problem.New(notFound, err))
		return 0
	}
	id, err := h.service.SaleID(ctx, n)
	in.failSale(n, err)
	return id
}

func (in *input) failSale(n order.SaleName, err error) {
	if errors.Is(err, order.ErrNotFound) {
		err = because(notFound, "There is no sale "+n.String()+".")
	}
	if err != nil {
		in.fail(err)
	}
}

// saleName reads a parameter that names a sale; the zero name if it was not sent.
func (in *input) saleName(name string) order.SaleName {
	if !in.query.Has(name) {
		return order.SaleName{}
	}
	n, err := order.ParseSaleName(in.query.Get(name))
	if err != nil {
		in.fail(invalid("?"+name, "must be the ID or the external ID of a sale"))
	}
	return n
}

// saleFilter reads the parameter sale_id of a list; 0 if it was not sent. Call it after
// all else is read: it asks MySQL.
func (h *Handler) saleFilter(ctx context.Context, in *input) int64 {
	n := in.saleName("sale_id")
	if in.err != nil || n == (order.SaleName{}) {
		return 0
	}
	id, err := h.service.SaleFilter(ctx, n)
	in.failSale(n, err)
	return id
}

// orderID reads the order's ID in the path.
func (in *input) orderID() order.ID {
	id, err := ParseOrderID(in.PathValue("id"))
	if err != nil {
		in.fail(problem.New(notFound, nil))
	}
	return id
}
