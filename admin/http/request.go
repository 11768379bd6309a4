package adminhttp

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"seckill/admin"
	"seckill/internal/problem"
	"seckill/order"
)

// list is a page of something, newest first; Next is the cursor of the next
// one, empty at the end.
type list[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next_cursor,omitempty"`
}

// call returns the request as a call of the service, with If-Match if it was sent.
func (h *Handler) call(r *http.Request) (admin.Call, error) {
	c := admin.Call{By: By(r.Context()), Command: admin.NewCommand()}
	if keys, sent := r.Header["Idempotency-Key"]; sent {
		if len(keys) != 1 || keys[0] == "" || !order.ValidReference(keys[0]) {
			return c, problem.New(keyInvalid, nil)
		}
		c.Command = admin.CommandID(c.By.Name, keys[0])
	}
	if tags, sent := r.Header["If-Match"]; sent {
		n, err := strconv.ParseUint(strings.Trim(tags[0], `"`), 10, 64)
		if len(tags) != 1 || err != nil || n == 0 || tags[0] != etag(n) {
			return c, problem.New(ifMatchInvalid, nil)
		}
		c.IfVersion = n
	}
	return c, nil
}

func etag(version uint64) string { return `"` + strconv.FormatUint(version, 10) + `"` }

// query reads the parameters of a request. An unknown one, or one that is sent
// twice, is refused.
func query(r *http.Request, known ...string) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, invalid("?", "is not a query string")
	}
	for name, values := range q {
		if !slices.Contains(known, name) {
			return nil, because(unexpectedField, fmt.Sprintf("Unknown parameter %q; the known ones are %s.", name, strings.Join(known, ", ")))
		}
		if len(values) != 1 {
			return nil, invalid("?"+name, "must have one value")
		}
	}
	return q, nil
}

// positive reads a whole number above 0; 0 if it was not sent.
func positive(q url.Values, name string) (int64, error) {
	s := q.Get(name)
	if s == "" && !q.Has(name) {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return 0, invalid("?"+name, "must be a whole number above 0")
	}
	return n, nil
}

// paging reads cursor and limit.
func paging(q url.Values) (before int64, limit int, err error) {
	before, err = positive(q, "cursor")
	if err != nil {
		return 0, 0, err
	}
	n, err := positive(q, "limit")
	if err != nil || n > maxLimit {
		return 0, 0, invalid("?limit", "must be 1 to "+strconv.Itoa(maxLimit))
	}
	if n == 0 {
		n = page
	}
	return before, int(n), nil
}

// saleID reads the sale's ID in the path.
func saleID(r *http.Request) (int64, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || id <= 0 {
		return 0, problem.New(notFound, nil)
	}
	return id, nil
}
